from dataclasses import replace
from itertools import permutations, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.records.event_values import HOUR_MS, NOW_MS, event, events, names, times

from serdes.avro.schema_files import enum_symbols
from state.domain.event import (
    TRANSITIONS,
    Event,
    EventStatus,
    SaleState,
    Trigger,
    closing_window,
    is_found,
    newer_of,
    sale_state,
    searchable,
    time_fault,
)
from state.domain.layout import Plan, Row, Rules, invalid
from state.domain.transitions import IllegalTransition, advance


def test_statuses_are_numbered_as_in_avro() -> None:
    assert tuple(s.name for s in EventStatus) == enum_symbols("io.seatstream.types.EventStatus")


@pytest.mark.parametrize(("status", "trigger"), list(product(EventStatus, Trigger)))
def test_every_way_that_is_not_in_the_table_is_refused(
    status: EventStatus, trigger: Trigger
) -> None:
    if trigger in TRANSITIONS[status]:
        assert advance(TRANSITIONS, status, trigger) > status
    else:
        with pytest.raises(IllegalTransition):
            advance(TRANSITIONS, status, trigger)


def test_a_closed_event_stays_closed() -> None:
    assert TRANSITIONS[EventStatus.CLOSED] == {}


@given(st.lists(events, min_size=1, max_size=4))
def test_the_newest_of_some_is_the_same_in_whatever_order_they_are_told(told: list[Event]) -> None:
    ends = set()
    of_one = [replace(one, event_id=7) for one in told]
    for order in permutations(of_one):
        newest = order[0]
        for other in order:
            newest = newer_of(newest, other)
        ends.add(newest)
    assert len(ends) == 1
    assert ends.pop().revision == max(one.revision for one in told)


def test_of_one_revision_the_event_that_came_further_stands() -> None:
    closed = event(status=EventStatus.CLOSED)
    later = event(changed_at_ms=NOW_MS)
    assert newer_of(later, closed) == newer_of(closed, later) == closed


@given(events, times, times)
def test_a_sale_never_goes_back_with_time(one: Event, earlier_ms: int, later_ms: int) -> None:
    earlier_ms, later_ms = sorted((earlier_ms, later_ms))
    order = list(SaleState)
    before, after = sale_state(one, earlier_ms), sale_state(one, later_ms)
    assert order.index(before) <= order.index(after)


@pytest.mark.parametrize(
    ("at_ms", "state"),
    [
        (NOW_MS - HOUR_MS - 1, SaleState.UPCOMING),
        (NOW_MS - HOUR_MS, SaleState.ON_SALE),
        (NOW_MS + HOUR_MS - 1, SaleState.ON_SALE),
        (NOW_MS + HOUR_MS, SaleState.CLOSED),
        (NOW_MS + 2 * HOUR_MS - 1, SaleState.CLOSED),
        (NOW_MS + 2 * HOUR_MS, SaleState.PAST),
    ],
)
def test_the_sale_of_an_event_by_hand(at_ms: int, state: SaleState) -> None:
    assert sale_state(event(), at_ms) is state


def test_an_opening_event_is_neither_upcoming_nor_on_sale() -> None:
    assert sale_state(event(status=EventStatus.OPENING), NOW_MS) is SaleState.OPENING
    assert sale_state(event(status=EventStatus.CLOSED), NOW_MS) is SaleState.CLOSED


@given(events, times)
def test_a_closed_window_is_one_that_every_section_takes_and_is_over(
    one: Event, now_ms: int
) -> None:
    starts_ms, ends_ms = closing_window(one, now_ms)
    assert 0 < ends_ms <= now_ms
    if not 0 < one.sale_ends_ms <= one.sale_starts_ms:
        rules = Rules(sale_starts_ms=starts_ms, sale_ends_ms=ends_ms)
        assert invalid(Plan(1, (Row("1", 1),), rules=rules)) is None


@given(events, times, st.integers(0, HOUR_MS))
def test_to_close_again_changes_nothing(one: Event, now_ms: int, more_ms: int) -> None:
    starts_ms, ends_ms = closing_window(one, now_ms)
    closed = event(sale_starts_ms=starts_ms, sale_ends_ms=ends_ms)
    assert closing_window(closed, now_ms + more_ms) == (starts_ms, ends_ms)


@given(times, times | st.just(0), times, st.just(NOW_MS))
def test_an_event_with_sound_times_will_be_on_sale(
    starts_at_ms: int, sale_starts_ms: int, sale_ends_ms: int, now_ms: int
) -> None:
    fault = time_fault(starts_at_ms, sale_starts_ms, sale_ends_ms, now_ms)
    opened = event(
        starts_at_ms=starts_at_ms, sale_starts_ms=sale_starts_ms, sale_ends_ms=sale_ends_ms
    )
    first_ms = max(now_ms, sale_starts_ms)
    assert (fault is None) == (
        sale_state(opened, first_ms) is SaleState.ON_SALE
        # Seats would be sold while the event is on.
        and sale_ends_ms <= starts_at_ms
    )


@pytest.mark.parametrize(
    ("times_ms", "field"),
    [
        ((NOW_MS, 0, NOW_MS), "starts_at_ms"),
        ((NOW_MS + 2, 0, NOW_MS + 3), "sale_ends_ms"),
        ((NOW_MS + 2, 0, NOW_MS), "sale_ends_ms"),
        ((NOW_MS + 2, 0, 0), "sale_ends_ms"),
        ((NOW_MS + 2, NOW_MS + 1, NOW_MS + 1), "sale_starts_ms"),
        ((10**15, 0, NOW_MS + 1), "starts_at_ms"),
    ],
)
def test_the_first_wrong_time_is_named(times_ms: tuple[int, int, int], field: str) -> None:
    fault = time_fault(*times_ms, NOW_MS)
    assert fault is not None
    assert fault.field == field


@given(names, st.data())
def test_a_name_is_found_by_every_part_of_it(name: str, data: st.DataObject) -> None:
    found_in = searchable(name)
    begin = data.draw(st.integers(0, len(found_in)))
    end = data.draw(st.integers(begin, len(found_in)))
    assert is_found(found_in[begin:end], found_in)


@given(names)
@example("\N{MODIFIER LETTER CAPITAL A}")
@example("\N{MATHEMATICAL BOLD CAPITAL A}rena")
def test_a_searchable_text_stays_as_it_is(name: str) -> None:
    once = searchable(name)
    assert searchable(once) == once


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("beyonce", True), ("LIVE Bey", True), ("", True), ("  ", True), ("beyonce dead", False)],
)
def test_words_are_found_without_accents_in_any_order(wanted: str, found: bool) -> None:
    assert is_found(searchable(wanted), searchable("Beyoncé — live")) is found
