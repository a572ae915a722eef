from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.records.event_values import HOUR_MS, NOW_MS, event, events

from api.events.bodies import (
    NAME_BYTES_MAX,
    NOT_FOR_SALE_MAX,
    ChangedEvent,
    EventBody,
    Opening,
    SectionBody,
    event_body,
    section_body,
)
from api.web.whole_numbers import INT64_MAX
from state.domain.event import Event, sale_state
from state.domain.layout import (
    HOLD_MS_MAX,
    PAYMENT_MS_MAX,
    SEATS_PER_HOLD_MAX,
    TIME_MS_MAX,
    Rules,
)

LEAST: dict[str, Any] = {"event_id": 7, "name": "Concert", "starts_at_ms": NOW_MS, "plan": {}}


@given(events, st.integers(0, TIME_MS_MAX))
def test_every_event_is_told_in_the_form_that_the_document_promises(
    one: Event, now_ms: int
) -> None:
    told = event_body(one, now_ms)
    body = EventBody.model_validate(told, strict=True)
    assert body.model_dump() == told
    assert body.capacity == sum(section.capacity for section in one.sections)
    assert body.sale_state is sale_state(one, now_ms)
    # The same members, and one more.
    assert ChangedEvent.model_validate(told).model_dump() == {**told, "pending_sections": []}
    for section in one.sections:
        said = section_body(section)
        SectionBody.model_validate(said)
        assert said.keys() == SectionBody.model_fields.keys()


def test_an_event_by_hand() -> None:
    assert event_body(event(7, revision=3), NOW_MS) == {
        "event_id": 7,
        "name": "Concert",
        "venue": "Arena",
        "starts_at_ms": NOW_MS + 2 * HOUR_MS,
        "sale_starts_ms": NOW_MS - HOUR_MS,
        "sale_ends_ms": NOW_MS + HOUR_MS,
        "sale_state": "on_sale",
        "revision": 3,
        "capacity": 100,
        "sections": 1,
        "currency": "",
        "max_seats_per_user": 0,
        "max_open_holds_per_user": 0,
        "admission_required": False,
    }
    [section] = event(7).sections
    assert section_body(section) == {
        "section": "A",
        "name": "Block A",
        "capacity": 100,
        "layout_version": 1,
        "categories": ("gold",),
        "prices": {},
    }
    assert section_body(section._replace(amounts=(0,)))["prices"] == {"gold": 0}


def test_nobody_is_told_who_opened_an_event_and_with_what() -> None:
    told = event_body(event(7), NOW_MS)
    assert not {"opened_by", "opening_digest", "changed_at_ms"} & told.keys()


def test_what_an_opening_does_not_say_is_as_the_rules_of_a_section_say() -> None:
    opening, rules = Opening.model_validate(LEAST), Rules()
    assert (opening.hold_ms, opening.max_hold_ms) == (rules.hold_ms, rules.max_hold_ms)
    assert opening.payment_ms == rules.payment_ms
    assert opening.max_seats_per_hold == rules.max_seats_per_hold
    assert (opening.sale_starts_ms, opening.sale_ends_ms, opening.not_for_sale) == (0, None, [])
    assert opening.orphan_rule == "prefer"


@pytest.mark.parametrize("name", ["event_id", "name", "starts_at_ms", "plan"])
def test_what_an_opening_must_say_it_must(name: str) -> None:
    with pytest.raises(ValidationError):
        Opening.model_validate({key: value for key, value in LEAST.items() if key != name})


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("event_id", INT64_MAX),
        ("starts_at_ms", TIME_MS_MAX),
        ("sale_starts_ms", TIME_MS_MAX),
        ("sale_ends_ms", TIME_MS_MAX),
        ("max_seats_per_hold", SEATS_PER_HOLD_MAX),
        ("hold_ms", HOLD_MS_MAX),
        ("max_hold_ms", HOLD_MS_MAX),
        ("payment_ms", PAYMENT_MS_MAX),
    ],
)
def test_b51_b59_a_number_has_its_bounds_and_no_other_form(name: str, most: int) -> None:
    assert getattr(Opening.model_validate({**LEAST, name: most}), name) == most
    for bad in (most + 1, -1, 1.0, "1", True, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            Opening.model_validate({**LEAST, name: bad})


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * (NAME_BYTES_MAX + 1)},
        {"name": None},
        {"venue": "x" * (NAME_BYTES_MAX + 1)},
        {"orphan_rule": "PREFER"},
        {"plan": []},
        {"plan": None},
        {"not_for_sale": "gold"},
        {"not_for_sale": [7]},
        {"not_for_sale": ["x"] * (NOT_FOR_SALE_MAX + 1)},
        {"not_for_sale": ["x" * (NAME_BYTES_MAX + 1)]},
        {"price": 1},
    ],
)
def test_b57_what_no_opening_can_say_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Opening.model_validate({**LEAST, **change})
