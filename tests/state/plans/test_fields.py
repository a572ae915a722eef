"""A field is returned in its type, or refused with its place; nothing else is raised."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.plans.fields import (
    TEXT_BYTES_MAX,
    checked,
    coordinate,
    objects,
    optional_text,
    position,
    required,
    text,
    typed,
)
from state.plans.seating import PlanFault

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("read", [required, text, optional_text, objects, coordinate])
@given(value=ANYTHING)
def test_any_value_is_taken_or_refused_at_its_place(read: Any, value: Any) -> None:
    refusals: list[PlanFault] = []
    try:
        read({"key": value}, "key", "zones[2]")
    except PlanFault as fault:
        refusals.append(fault)
    assert all(one.path.startswith("zones[2].key") and one.remedy for one in refusals)


@pytest.mark.parametrize("read", [required, text, objects, coordinate])
def test_a_field_that_is_missing_is_named(read: Any) -> None:
    with pytest.raises(PlanFault, match=r"^zones\[2\]: field 'key' is missing\. Add 'key' there"):
        read({}, "key", "zones[2]")


def test_a_field_of_the_whole_file_is_named_without_a_dot() -> None:
    with pytest.raises(PlanFault, match=r"^name: 7 is not a text"):
        text({"name": 7}, "name", "")
    with pytest.raises(PlanFault, match=r"^zones\[1\]: 7 is not an object"):
        objects({"zones": [{}, 7]}, "zones", "")


@pytest.mark.parametrize("document", [{}, {"key": None}])
def test_an_optional_text_may_be_absent_or_null(document: dict[str, Any]) -> None:
    assert optional_text(document, "key", "p") == ""


def test_objects_come_with_their_paths_in_the_order_of_the_list() -> None:
    found = objects({"rows": [{"a": 1}, {"b": 2}]}, "rows", "zones[0]")
    assert found == [("zones[0].rows[0]", {"a": 1}), ("zones[0].rows[1]", {"b": 2})]


@given(st.text(max_size=300))
def test_a_text_is_kept_as_it_is_where_a_record_can_carry_it(value: str) -> None:
    with suppress(PlanFault):
        assert checked(value, "p") == value
        assert len(value.encode()) <= TEXT_BYTES_MAX
        assert "\0" not in value


@pytest.mark.parametrize("bad", ["\0", "a\nb", "\x7f", "\x85", "\ud800", "\udfff" * 300])
def test_no_ticket_carries_a_control_character_or_half_a_character(bad: str) -> None:
    with pytest.raises(PlanFault, match="control character or half a character"):
        checked(bad, "p")


def test_the_limit_of_a_text_is_in_bytes() -> None:
    assert checked("é" * 100, "p") == "é" * 100
    with pytest.raises(PlanFault, match=f"at most {TEXT_BYTES_MAX} bytes, this one has 201"):
        checked("é" * 100 + "x", "p")


@pytest.mark.parametrize("value", [0, -1e9, 1e9, 0.5])
def test_a_coordinate_is_a_finite_number(value: float) -> None:
    assert coordinate({"x": value}, "x", "p") == value


@pytest.mark.parametrize(
    "value", [True, "1", None, [], float("nan"), float("inf"), 1.1e9, 10**400, -(10**400)]
)
def test_what_is_no_finite_number_is_no_coordinate(value: Any) -> None:
    with pytest.raises(PlanFault, match=r"^p\.position\.x: .* is not a coordinate"):
        position({"position": {"x": value, "y": 0}}, "p")


def test_a_position_is_x_and_y() -> None:
    assert position({"position": {"x": 3, "y": -4.5}}, "p") == (3.0, -4.5)


@pytest.mark.parametrize(
    ("value", "kind", "word"),
    [(True, int, "a whole number"), (1.0, int, "a whole number"), ({}, list, "a list")],
)
def test_the_message_says_what_type_is_wanted(value: object, kind: type, word: str) -> None:
    with pytest.raises(PlanFault, match=f"is not {word}. Write {word} there"):
        typed(value, kind, "p")
