"""What was told of a turn is read as it was written, and nothing told later replaces it."""

from schemas.topics import WAITING_TURNS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.waiting.line import Fact, Step
from state.domain.waiting.lots import Opening
from state.records.waiting.turns import (
    RECORD,
    SEED,
    SeedTold,
    TurnChanged,
    TurnCodecs,
    record_of,
    seed_key,
    seed_record_of,
    turn_key,
)

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


def test_d31_what_is_told_of_a_seed_is_read_as_it_was_written() -> None:
    for seed in (b"", bytes(range(32))):
        told = seed_record_of(7, Opening(1_900_000_000_000, "ab" * 32, seed))
        verdict = TopicDecoder(WAITING_TURNS, IDS).decode(TurnCodecs.of(IDS).seed(*told), ())
        assert isinstance(verdict, Decoded)
        assert (verdict.name, SeedTold(*verdict.fields)) == (SEED, told)
        assert bytes.fromhex(told.seed.decode()) == seed


def test_d31_no_commitment_takes_the_place_of_the_first() -> None:
    opening = Opening(1_000, "ab" * 32)
    shown = opening._replace(seed=b"seed")
    keys = [seed_key(7, opening, "a"), seed_key(7, opening, "b"), seed_key(7, shown, "a")]
    assert len(set(keys)) == len(keys)
    assert seed_key(7, shown, "b") == keys[-1]
    assert all(key.startswith(b"7:") for key in keys)
