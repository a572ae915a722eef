"""What is told of turns in waiting rooms to its record and back."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import WAITING_TURNS
from serdes.avro.codegen import Encode
from serdes.codecs import Codecs, written_to
from state.domain.waiting.admission import TURN_MAX, may_wait
from state.domain.waiting.line import Fact, Step
from state.domain.waiting.lots import Opening

RECORD: Final = "io.seatstream.waiting.TurnChanged"
SEED: Final = "io.seatstream.waiting.SeedTold"


_STEPS: Final = {Step.GIVEN, Step.ADMITTED, Step.ENDED}


class TurnChanged(NamedTuple):
    """One step of one turn, as it is decoded."""

    event_id: int
    user_id: bytes
    turn: int
    step: int
    last_ms: int


class SeedTold(NamedTuple):
    """What is told of the seed of lots, as it is decoded; commitment and seed in hex."""

    event_id: int
    opens_ms: int
    commitment: bytes
    seed: bytes


@dataclass(frozen=True, slots=True)
class TurnCodecs(Codecs):
    """changed, seed: fields to values of the wire, header included."""

    changed: Encode = written_to(WAITING_TURNS, RECORD)
    seed: Encode = written_to(WAITING_TURNS, SEED)


def turn_key(event_id: int, fact: Fact) -> bytes:
    """Return the record key of a fact: nothing that is told later takes its place."""
    return b"%d:%d:%d:%b" % (event_id, fact.turn, fact.step, fact.user_id.encode())


def fact_of(record: TurnChanged) -> Fact | None:
    """Return what a record tells; None for what no pod tells."""
    user, step = record.user_id.decode(errors="replace"), record.step
    if not (may_wait(user) and 1 <= record.turn <= TURN_MAX and step in _STEPS):
        return None
    return Fact(user, record.turn, Step(step), record.last_ms)


def record_of(event_id: int, fact: Fact) -> TurnChanged:
    """Return what is written of a fact."""
    user = fact.user_id.encode()
    return TurnChanged(event_id, user, fact.turn, int(fact.step), fact.last_ms)


def seed_key(event_id: int, opening: Opening, telling: str) -> bytes:
    """Return the record key of what is told of a seed.

    telling: another each time, so that the first commitment stays where it was first written.
    """
    which = "shown" if opening.seed else f"committed:{telling}"
    return b"%d:seed:%d:%b" % (event_id, opening.opens_ms, which.encode())


def opening_of(record: SeedTold) -> Opening | None:
    """Return what a record tells of an opening; None for what no pod tells."""
    try:
        seed = bytes.fromhex(record.seed.decode())
        return Opening(record.opens_ms, record.commitment.decode(), seed)
    except ValueError:
        return None


def seed_record_of(event_id: int, opening: Opening) -> SeedTold:
    """Return what is written of a seed."""
    commitment, seed = opening.commitment.encode(), opening.seed.hex().encode()
    return SeedTold(event_id, opening.opens_ms, commitment, seed)
