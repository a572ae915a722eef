"""Decoder and encoders of what is told about locks; made once at start."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import SEAT_UNLOCK, SEAT_UNLOCKED
from serdes.avro.codegen import Encode
from serdes.codecs import Codecs, read_from, written_to
from serdes.decoding import TopicDecoder

LOCKS: Final = "io.seatstream.locks."


class LocksReleased(NamedTuple):
    """What became of one attempt to remove locks; wait_ms: how long Redis is left alone."""

    intent_id: bytes
    attempt: int
    is_done: bool
    released: int
    wait_ms: int
    detail: bytes


@dataclass(frozen=True, slots=True)
class LockCodecs(Codecs):
    """Codecs by the role they play.

    records:  bytes of seat-unlock to records; learns other ids while it is used.
    released, unlocked: fields to values of the wire, header included.
    """

    records: TopicDecoder = read_from(SEAT_UNLOCK)
    released: Encode = written_to(SEAT_UNLOCK, LOCKS + "LocksReleased")
    unlocked: Encode = written_to(SEAT_UNLOCKED, LOCKS + "SeatUnlocked")
