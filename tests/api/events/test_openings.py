"""What an event is opened with: decided here, sent by others."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.event_values import HOUR_MS, NOW_MS, event
from support.records.plan_documents import plan, row, seat, zone

from api.events.bodies import NAME_BYTES_MAX, Opening
from api.events.openings import Prepared, check_times, opened, prepared
from api.web.problems import Problem
from serdes.registry.ids import SchemaIds, counted_ids
from state.domain.event import EventStatus
from state.domain.layout import OrphanRule, SeatRange
from state.domain.reasons import ApiReason, Reason
from state.records.commands import CommandEncoders

IDS = counted_ids()
ENCODERS = CommandEncoders(IDS)


def section(name: str, rows: int = 2, seats: Any = 10, **more: Any) -> dict[str, Any]:
    return {"section": name, "rows": rows, "seats": seats, **more}


def opening(*sections: dict[str, Any], **changes: Any) -> Opening:
    plan = {"event": "Plan", "sections": list(sections) or [section("A"), section("B")]}
    fields = {"event_id": 7, "name": "Concert", "starts_at_ms": NOW_MS, "plan": plan, **changes}
    return Opening.model_validate(fields)


def prepare(asked: Opening, user_id: str = "operator-1", ids: SchemaIds = IDS) -> Prepared:
    return prepared(asked, user_id, CommandEncoders(ids))


def refusal(asked: Opening) -> Problem:
    with pytest.raises(Problem) as refused:
        prepare(asked)
    return refused.value


openings = st.builds(
    lambda rows, seats, changes: (rows, seats, changes),
    st.integers(1, 3),
    st.integers(1, 9),
    st.fixed_dictionaries(
        {},
        optional={
            "event_id": st.integers(7, 8),
            "name": st.sampled_from(["Concert", "Concert 2"]),
            "venue": st.sampled_from(["", "Arena"]),
            "starts_at_ms": st.sampled_from([NOW_MS, NOW_MS + 1]),
            "sale_starts_ms": st.sampled_from([0, 5]),
            "orphan_rule": st.sampled_from(["prefer", "strict", "off"]),
            "max_seats_per_hold": st.integers(1, 2),
            "hold_ms": st.integers(1_000, 1_001),
            "payment_ms": st.integers(899_999, 900_001),
            "max_seats_per_user": st.integers(0, 2),
            "max_open_holds_per_user": st.integers(0, 2),
            "admission_required": st.booleans(),
        },
    ),
)


@given(openings, openings)
def test_two_openings_are_one_exactly_where_they_open_the_same(one: Any, other: Any) -> None:
    asked = [
        opening(section("A", rows, seats), **changes) for rows, seats, changes in (one, other)
    ]
    digests = [prepare(each).event.opening_digest for each in asked]
    assert (digests[0] == digests[1]) == (asked[0] == asked[1])
    # Whoever asks, and with whatever ids the registry of the day gives.
    moved = SchemaIds(
        {name: number + 50 for name, number in IDS.id_by_subject.items()}, "another registry"
    )
    again = prepare(asked[0], "operator-2", moved)
    assert again.event.opening_digest == digests[0]
    assert again.event.opened_by == "operator-2"


@given(openings)
def test_an_event_is_described_as_it_was_asked_for_and_is_not_on_sale_yet(drawn: Any) -> None:
    rows, seats, changes = drawn
    asked = opening(section("A", rows, seats), section("B"), **changes)
    ready = prepare(asked)
    event_now = ready.event
    assert (event_now.event_id, event_now.name, event_now.venue) == (
        asked.event_id,
        asked.name,
        asked.venue,
    )
    assert (event_now.status, event_now.revision) == (EventStatus.OPENING, 1)
    assert [one.capacity for one in event_now.sections] == [rows * seats, 20]
    assert [one.section for one in ready.sections] == ["A", "B"]
    assert ready.rules.orphan_rule is OrphanRule[asked.orphan_rule.upper()]
    assert (ready.rules.hold_ms, ready.rules.max_hold_ms) == (asked.hold_ms, asked.max_hold_ms)
    assert ready.rules.payment_ms == asked.payment_ms
    assert event_now.limits == (asked.max_seats_per_user, asked.max_open_holds_per_user)
    assert event_now.admission_required == asked.admission_required
    assert ready.rules.max_seats_per_hold == asked.max_seats_per_hold
    # A sale that nobody ends is over when the event begins, for sections as for the event.
    assert ready.rules.sale_ends_ms == event_now.sale_ends_ms == asked.starts_at_ms


def test_an_end_of_the_sale_that_was_asked_for_is_that_of_every_section() -> None:
    ready = prepare(opening(sale_ends_ms=NOW_MS - HOUR_MS))
    assert ready.rules.sale_ends_ms == ready.event.sale_ends_ms == NOW_MS - HOUR_MS


def test_categories_that_are_not_for_sale_are_opened_as_blocked() -> None:
    front = row("1", seat("g1", "1", 0), seat("g2", "2", 20), seat("g3", "3", 40, category="B"))
    hall = plan(zone("A", front, name=" Block A "))
    [block] = prepare(opening(plan=hall, not_for_sale=["B"])).sections
    [described] = prepare(opening(plan=hall)).event.sections
    assert block.not_for_sale == (SeatRange(0, 2, 1),)
    # Each category once, in the order of first use; the name without spaces around it.
    assert (described.name, described.categories) == ("Block A", ("A", "B"))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"name": "a\nb"}, "body.name"),
        ({"name": " a"}, "body.name"),
        ({"name": "\x1b[31mred"}, "body.name"),
        ({"name": "ü" * (NAME_BYTES_MAX // 2 + 1)}, "body.name"),
        ({"venue": "\u202eabc"}, "body.venue"),
        ({"venue": "a\u200bb"}, "body.venue"),
        ({"hold_ms": 2_000, "max_hold_ms": 1_999}, "body.max_hold_ms"),
    ],
)
def test_b78_what_no_list_can_show_is_refused_by_name(changes: dict[str, Any], where: str) -> None:
    refused = refusal(opening(**changes))
    assert (refused.status, refused.reason) == (400, ApiReason.MALFORMED)
    assert refused.extensions["errors"][0]["where"] == where


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"plan": {}}, "body.plan"),
        ({"plan": {"event": "x", "sections": []}}, "body.plan.sections"),
        (
            {"plan": {"event": "x", "sections": [section("A"), section("A")]}},
            "body.plan.sections[1].section",
        ),
        (
            {"plan": {"event": "x", "sections": [section("A", seats=0)]}},
            "body.plan.sections[0].seats",
        ),
        ({"not_for_sale": ["Nothing"]}, "body.plan.categories"),
    ],
)
def test_a_fault_of_a_plan_is_named_by_its_place_and_says_what_to_do(
    changes: dict[str, Any], where: str
) -> None:
    refused = refusal(opening(**changes))
    assert refused.reason is Reason.BAD_LAYOUT
    [error] = refused.extensions["errors"]
    assert error["where"] == where
    assert error["why"]
    assert error["remedy"]


PRICED = section("A", category="front"), section("B", category="side")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"prices": {"front": 45.0, "side": 1}}, "body.plan.prices['front']"),
        ({"prices": {"front": float("inf"), "side": 1}}, "body.plan.prices['front']"),
        ({"prices": {"front": float("nan"), "side": 1}}, "body.plan.prices['front']"),
        ({"prices": {"front": "1,00", "side": 1}}, "body.plan.prices['front']"),
        ({"prices": {"front": -1, "side": 1}}, "body.plan.prices['front']"),
        ({"prices": {"front": 1, "side": 1, "rear": 1}}, "body.plan.prices['rear']"),
        ({"prices": {"front": 1}}, "body.plan.prices"),
        ({"currency": "euro"}, "body.plan.currency"),
    ],
)
def test_b58_a_price_that_is_none_is_refused_by_its_place(
    change: dict[str, Any], where: str
) -> None:
    prices = {"currency": "EUR", "prices": {"front": 4_500, "side": 0}}
    plan = {"event": "x", "sections": list(PRICED)} | prices
    assert prepare(opening(plan=plan)).event.currency == "EUR"
    refused = refusal(opening(plan=plan | change))
    assert (refused.status, refused.reason) == (400, Reason.BAD_LAYOUT)
    [error] = refused.extensions["errors"]
    assert error["where"] == where


def test_an_event_tells_what_its_sections_are_opened_with() -> None:
    plan = {"event": "x", "sections": list(PRICED), "currency": "KRW"}
    ready = prepare(opening(plan=plan | {"prices": {"side": 0, "front": 99_000}}))
    assert [one.prices.amounts for one in ready.sections] == [(("front", 99_000),), (("side", 0),)]
    assert [one.amounts for one in ready.event.sections] == [(99_000,), (0,)]
    assert ready.event.currency == "KRW"
    # Another price is another event.
    dearer = prepare(opening(plan=plan | {"prices": {"side": 0, "front": 99_001}}))
    dollars = prepare(
        opening(plan=plan | {"prices": {"side": 0, "front": 99_000}, "currency": "USD"})
    )
    digests = {one.event.opening_digest for one in (ready, dearer, dollars)}
    assert len(digests) == 3


def test_f89_an_event_without_prices_has_the_digest_that_it_had_before_there_were_any() -> None:
    """So an opening that a former release has begun can be finished."""
    hall = {"event": "Hall", "sections": [section("A", 2, 3, category="front")]}
    ready = prepare(opening(plan=hall, starts_at_ms=1_764_000_000_000))
    assert ready.event.opening_digest == (
        "aff997929a0c0d7c41fc5be9b52a2caad8f4b36212fe9c4dcb4d286faf6f941c"
    )


def test_f43_a_section_whose_layout_fills_a_record_is_refused() -> None:
    """Seats with labels of their own take what the record may hold many times over."""
    labels = [f"{'L' * 40}{number}" for number in range(900)]
    rows = [{"row": str(row), "seats": labels} for row in range(3)]
    refused = refusal(opening(plan={"event": "x", "sections": [{"section": "A", "rows": rows}]}))
    assert refused.reason is Reason.BAD_LAYOUT


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"starts_at_ms": NOW_MS}, "body.starts_at_ms"),
        ({"sale_ends_ms": NOW_MS}, "body.sale_ends_ms"),
        ({"sale_ends_ms": NOW_MS + 3 * HOUR_MS}, "body.sale_ends_ms"),
        ({"sale_starts_ms": NOW_MS + HOUR_MS}, "body.sale_starts_ms"),
    ],
)
def test_b59_an_event_that_is_past_or_has_no_sale_is_refused(
    changes: dict[str, int], where: str
) -> None:
    check_times(event(7), NOW_MS)
    with pytest.raises(Problem) as refused:
        check_times(event(7, **changes), NOW_MS)
    assert refused.value.extensions["errors"][0]["where"] == where


@pytest.mark.parametrize(
    ("is_complete", "status"), [(True, EventStatus.ON_SALE), (False, EventStatus.OPENING)]
)
def test_an_event_is_on_sale_once_every_section_has_answered(
    is_complete: bool, status: EventStatus
) -> None:
    before = prepare(opening()).event
    written = opened(before, NOW_MS, is_complete=is_complete)
    assert written == replace(before, status=status, changed_at_ms=NOW_MS)
