"""What is drawn from a seed, and what the demo sells."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import SECTION_COMMANDS
from scripts.sale.arena import ARENA
from scripts.traffic.sending import CommandEncoders
from scripts.traffic.workload import Command, Mix, chosen_seats, draw_commands, percentile
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.plans.reading import read_plan
from state.plans.seating import SeatingPlan, SectionPlan

IDS = counted_ids()
DECODER = TopicDecoder(SECTION_COMMANDS, IDS)


@pytest.fixture(scope="module")
def arena() -> SeatingPlan:
    return read_plan(ARENA)


@pytest.fixture(scope="module")
def sections(arena: SeatingPlan) -> tuple[SectionPlan, ...]:
    return arena.sections


def names(commands: list[Command]) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, value, _ in commands:
        record = DECODER.decode(value)
        assert isinstance(record, Decoded)
        found[record.name.rpartition(".")[2]] += 1
    return found


def test_the_same_seed_draws_the_same_commands(sections: tuple[SectionPlan, ...]) -> None:
    encoders = CommandEncoders(IDS)
    first = draw_commands(encoders, sections, 1, 500, Mix(), 7)
    assert first == draw_commands(encoders, sections, 1, 500, Mix(), 7)
    assert first != draw_commands(encoders, sections, 1, 500, Mix(), 8)


def test_a_mix_draws_every_kind_of_command_and_nothing_more_than_asked_for(
    sections: tuple[SectionPlan, ...],
) -> None:
    encoders = CommandEncoders(IDS)
    drawn = draw_commands(encoders, sections, 1, 5000, Mix(), 1)
    assert len(drawn) == 5000
    assert names(drawn).keys() == {
        "HoldBestAvailable",
        "HoldChosenSeats",
        "ConfirmReservation",
        "ReleaseReservation",
        "ExtendHold",
    }
    holds = Mix(chosen=0, confirm=0, cancel=0, extend=0, duplicate=0)
    assert names(draw_commands(encoders, sections, 1, 300, holds, 1)) == {"HoldBestAvailable": 300}


def test_what_follows_a_hold_comes_behind_it_under_the_same_key(
    sections: tuple[SectionPlan, ...],
) -> None:
    key_by_id: dict[bytes, bytes] = {}
    for key, value, reservation_id in draw_commands(
        CommandEncoders(IDS), sections, 1, 3000, Mix(), 2
    ):
        record = DECODER.decode(value)
        assert isinstance(record, Decoded)
        if reservation_id is not None:
            key_by_id[reservation_id] = key
        assert key_by_id[record.fields[0]] == key


def test_skew_gives_one_section_far_more_than_its_share(
    sections: tuple[SectionPlan, ...],
) -> None:
    encoders = CommandEncoders(IDS)
    skewed = Counter(c.key for c in draw_commands(encoders, sections, 1, 4000, Mix(skew=1), 1))
    even = Counter(c.key for c in draw_commands(encoders, sections, 1, 4000, Mix(), 1))
    assert skewed.most_common(1)[0][1] > 4 * even.most_common(1)[0][1]


@given(seed=st.integers(0, 2**32), party=st.integers(1, 8))
def test_chosen_seats_exist_and_are_neighbours(
    sections: tuple[SectionPlan, ...], seed: int, party: int
) -> None:
    section = sections[0]
    seats = chosen_seats(random.Random(seed), section, party)
    row = seats[0][0]
    assert [seat for _, seat in seats] == list(range(seats[0][1], seats[0][1] + party))
    assert all(at == row and 0 <= seat < section.rows[row].seat_count for at, seat in seats)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([], 0.5) == 0.0
    assert percentile([1.0], 0.99) == 1.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0
