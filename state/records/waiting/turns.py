"""What is told of turns in waiting rooms to its record and back."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import WAITING_TURNS
from serdes.avro.codegen import Encode
from serdes.codecs import Codecs, written_to
from state.domain.waiting.line import Fact

RECORD: Final = "io.seatstream.waiting.TurnChanged"


class TurnChanged(NamedTuple):
    """One step of one turn, as it is decoded."""

    event_id: int
    user_id: bytes
    turn: int
    step: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class TurnCodecs(Codecs):
    """changed: fields to values of the wire, header included."""

    changed: Encode = written_to(WAITING_TURNS, RECORD)


def turn_key(event_id: int, fact: Fact) -> bytes:
    """Return the record key of a fact: nothing that is told later takes its place."""
    return b"%d:%d:%d:%b" % (event_id, fact.turn, fact.step, fact.user_id.encode())


def record_of(event_id: int, fact: Fact) -> TurnChanged:
    """Return what is written of a fact."""
    user = fact.user_id.encode()
    return TurnChanged(event_id, user, fact.turn, int(fact.step), fact.last_ms)
