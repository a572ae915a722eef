"""Decoder and encoders of what is told about locks; made once at start."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import SEAT_UNLOCK, SEAT_UNLOCKED
from serdes.avro.codegen import Encode
from serdes.decoding import TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.records.names import SeatRange

LOCKS: Final = "io.seatstream.locks."


class SeatUnlock(NamedTuple):
    """A hold is over, and locks of its seats may go; cause: number of an UnlockCause."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    outcome_id: bytes
    epoch: int
    cause: int
    seats: tuple[SeatRange, ...]


class LocksReleased(NamedTuple):
    """What became of one attempt to remove locks; wait_ms: how long Redis is left alone."""

    intent_id: bytes
    attempt: int
    is_done: bool
    released: int
    wait_ms: int
    detail: bytes


@dataclass(frozen=True, slots=True)
class LockCodecs:
    """Codecs by the role they play.

    records:  bytes of seat-unlock to records; learns other ids while it is used.
    released, unlocked: fields to values of the wire, header included.
    """

    records: TopicDecoder
    released: Encode
    unlocked: Encode

    @classmethod
    def of(cls, ids: SchemaIds) -> "LockCodecs":
        """Return the codecs that write these ids."""
        return cls(
            records=TopicDecoder(SEAT_UNLOCK, ids),
            released=encoders(SEAT_UNLOCK, ids)[LOCKS + "LocksReleased"],
            unlocked=encoders(SEAT_UNLOCKED, ids)[LOCKS + "SeatUnlocked"],
        )
