"""What was told of a turn is read as it was written, and nothing told later replaces it."""

from schemas.topics import WAITING_TURNS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.waiting.line import Fact, Step
from state.records.waiting.turns import RECORD, TurnChanged, TurnCodecs, record_of, turn_key

IDS = counted_ids()


def test_a_step_is_read_as_it_was_written() -> None:
    told = record_of(7, Fact("Ænne", 2**52 - 1, Step.ADMITTED, 1_900_000_000_000))
    value = TurnCodecs.of(IDS).changed(*told)
    verdict = TopicDecoder(WAITING_TURNS, IDS).decode(value, ())
    assert isinstance(verdict, Decoded)
    assert (verdict.name, TurnChanged(*verdict.fields)) == (RECORD, told)


def test_each_step_of_each_turn_has_a_key_of_its_own() -> None:
    steps = [
        (event, Fact(user, turn, step))
        for event in (1, 11)
        for user in ("1", "1:1", "a")
        for turn in (1, 11)
        for step in (Step.GIVEN, Step.ADMITTED, Step.ENDED)
    ]
    assert len({turn_key(*one) for one in steps}) == len(steps)
