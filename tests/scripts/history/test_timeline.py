"""How seats stood at any moment agrees with the oracle that decided every command."""

import random
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.logs.audit_logs import WIRE, sound_log

from scripts.auditing.facts import quarantined_of
from scripts.auditing.log import Log
from scripts.auditing.oracle.model import Oracle
from scripts.auditing.oracle.seats import BLOCKED as BLOCKED_SEAT
from scripts.auditing.oracle.seats import Place
from scripts.auditing.schemas import Unreadable
from scripts.history.reading import folded, section_of
from scripts.history.timeline import (
    FREE,
    NOW,
    Event,
    Position,
    Seat,
    Timeline,
    Until,
    Use,
    event_of,
    in_order,
    largest_run,
)

SEEDS = range(6)
PARTITIONS = 3
USES = {"HELD": Use.HELD, "PAYING": Use.PAYING, "SOLD": Use.SOLD}

Maps = dict[tuple[int, str], dict[Place, Seat]]


@cache
def log_of(seed: int) -> Log:
    return sound_log(seed, 300, PARTITIONS)


def events_of(log: Log, partition: int) -> list[Event]:
    found = []
    for record in log.outcomes[partition]:
        event = event_of(*WIRE.decode(record.value or b""), partition)
        assert event is not None
        found.append(event)
    return found


def seen_by(oracle: Oracle) -> Maps:
    """Return every seat of every section as the oracle has it now."""
    maps: Maps = {}
    for where, section in oracle.sections.items():
        seats = maps.setdefault(where, {})
        for number, row in enumerate(section.rows):
            for seat, holder in enumerate(row.seats):
                if holder is None:
                    seats[number, seat] = FREE
                elif holder == BLOCKED_SEAT:
                    seats[number, seat] = Seat(Use.BLOCKED)
                else:
                    status = oracle.reservations[holder].record["status"]
                    seats[number, seat] = Seat(USES[status], holder)
    return maps


def played(log: Log, partition: int, until: int) -> Maps:
    oracle = Oracle("section-commands", partition, PARTITIONS)
    poisonous = quarantined_of(log, partition, "section-commands")
    for record in log.commands[partition]:
        if record.offset > until:
            break
        try:
            command = WIRE.decode(record.value or b"")
        except Unreadable:
            command = None
        oracle.apply(
            record.offset,
            record.timestamp,
            record.key,
            command,
            set_aside=command is not None and record.offset in poisonous,
        )
    return seen_by(oracle)


@settings(max_examples=of_whole(40))
@given(st.sampled_from(SEEDS), st.integers(0, PARTITIONS - 1), st.randoms(use_true_random=False))
def test_u9_the_map_at_an_offset_is_the_oracles_after_that_command(
    seed: int, partition: int, draw: random.Random
) -> None:
    log = log_of(seed)
    if not log.commands[partition]:
        return
    until = draw.choice(log.commands[partition]).offset
    state = folded(log.changelog[partition], partition, PARTITIONS)
    events = events_of(log, partition)
    for (event_id, name), seats in played(log, partition, until).items():
        found = section_of(state, event_id, name, events)
        assert found is not None
        assert found.timeline.seats(Until(offset=until)) == seats


@pytest.mark.parametrize("seed", SEEDS)
def test_u9_the_map_now_needs_no_outcome(seed: int) -> None:
    log = log_of(seed)
    for partition in range(PARTITIONS):
        state = folded(log.changelog[partition], partition, PARTITIONS)
        for (event_id, name), seats in played(log, partition, 1 << 60).items():
            found = section_of(state, event_id, name, [])
            assert found is not None
            assert found.timeline.seats(NOW) == seats


@settings(max_examples=of_whole(40))
@given(st.sampled_from(SEEDS), st.integers(0, PARTITIONS - 1), st.integers(0, 400))
def test_what_retention_removed_changes_no_use_of_a_seat_behind_it(
    seed: int, partition: int, first: int
) -> None:
    """Seats that were paid for are told as held, where the start of their payment is gone."""
    log = log_of(seed)
    state = folded(log.changelog[partition], partition, PARTITIONS)
    events = [
        event for event in in_order(events_of(log, partition)) if event.position.offset >= first
    ]
    for (event_id, name), seats in played(log, partition, first).items():
        found = section_of(state, event_id, name, events)
        assert found is not None
        told = found.timeline.seats(Until(offset=first))
        assert {place: mild(seat) for place, seat in told.items()} == {
            place: mild(seat) for place, seat in seats.items()
        }


def mild(seat: Seat) -> Seat:
    return seat._replace(use=Use.HELD) if seat.use is Use.PAYING else seat


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=12))
def test_events_are_each_once_and_lapses_come_before_the_command(
    places: Sequence[tuple[int, int]],
) -> None:
    events = [
        Event(Position(offset, ordinal == 0, ordinal), 0, "HoldExtended", {})
        for offset, ordinal in places
    ]
    found = [(one.position.offset, one.position.ordinal) for one in in_order(events)]
    assert len(found) == len(set(places))
    assert found == sorted(set(places), key=lambda one: (one[0], one[1] == 0, one[1]))


@pytest.mark.parametrize(
    "outcome_id", ["", "a:0:1", "a:1:1:0", "a:0:x:0", "a:0:1:0:0", "a:0:-1:0"]
)
def test_an_id_of_another_partition_or_of_nobody_is_no_event(outcome_id: str) -> None:
    assert event_of("SeatsHeld", {"outcomeId": outcome_id, "decidedAtMs": 1}, 0) is None


def test_a_run_ends_at_an_aisle_at_a_taken_seat_and_at_the_end_of_a_row() -> None:
    seats = {(0, seat): FREE for seat in range(5)} | {(1, 0): FREE, (1, 1): Seat(Use.SOLD, "r")}
    assert largest_run(seats, {}) == 5
    assert largest_run(seats, {0: frozenset({2})}) == 3
    assert largest_run({}, {}) == 0


def test_a_seat_that_no_outcome_names_stands_as_the_state_has_it() -> None:
    sold = Seat(Use.SOLD, "r1")
    timeline = Timeline({(0, 0): sold}, [])
    assert timeline.seat((0, 0), Until(offset=3)) == sold
    assert timeline.of_seat((0, 0)) == []
