"""The document is one that other people's generators make whole clients of."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.app import documented
from api.seat_bodies import BestAvailable, ChosenSeats
from api.web.openapi import invalid, names_in, place

DOCUMENT: dict[str, Any] = documented().openapi()
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for one in node:
            yield from schemas(one)
    elif isinstance(node, dict):
        if "type" in node or "anyOf" in node:
            yield node
        for one in node.values():
            yield from schemas(one)


def test_f6_every_operation_has_a_name_of_its_own_that_is_an_identifier() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names) == 43
    assert all(name.isidentifier() and "v1" not in name for name in names)


def test_f6_the_document_says_where_and_what_the_service_is() -> None:
    assert [server["url"] for server in DOCUMENT["servers"]] == ["/"]
    assert "Idempotency-Key" in DOCUMENT["info"]["description"]


@pytest.mark.parametrize("name", ["Prefer", "Idempotency-Key", "last-event-id"])
def test_f6_a_header_is_a_string(name: str) -> None:
    """An array, or one that may be null beside it, is left out by generators."""
    found = [
        parameter["schema"]
        for _, _, operation in OPERATIONS
        for parameter in operation.get("parameters", ())
        if (parameter["in"], parameter["name"]) == ("header", name)
    ]
    assert found
    for schema in found:
        kinds = [schema.get("type"), *(one["type"] for one in schema.get("anyOf", ()))]
        assert set(kinds) <= {"string", "null", None}


def test_f6_whole_numbers_tell_their_width_and_bounds_are_those_of_json_schema() -> None:
    found = list(schemas(DOCUMENT))
    whole = [schema for schema in found if schema.get("type") == "integer"]
    assert len(whole) > 50
    assert all(schema["format"] == "int64" for schema in whole)
    assert not [schema for schema in found if {"ge", "le", "gt", "lt"} & schema.keys()]


@pytest.mark.parametrize("name", ["sections", "consistency_token", "cursor", "section"])
def test_f6_lists_tokens_and_cursors_tell_their_form(name: str) -> None:
    found = [
        parameter["schema"]
        for _, _, operation in OPERATIONS
        for parameter in operation.get("parameters", ())
        if parameter["name"] == name
    ]
    assert found
    for schema in found:
        assert [one for one in (schema, *schema.get("anyOf", ())) if "pattern" in one]


STEPS = st.one_of(
    st.integers(0, 99), st.text(max_size=20), st.sampled_from(["body", "parameters", "epoch"])
)


@given(st.lists(STEPS, max_size=6))
def test_b57_a_place_has_names_of_the_document_alone_and_none_behind_a_free_one(
    steps: list[Any],
) -> None:
    names = names_in(DOCUMENT)
    assert "parameters" in names.free <= names.known
    told = place(steps, names).split(".")
    for step in told:
        assert step in names.known or step.isdecimal() or not step
    assert "parameters" not in told[:-1]


def refused_for(body: Any) -> list[dict[str, str]]:
    """Return what a buyer is told of a wish for seats that fits no form of one."""
    wish: TypeAdapter[Any] = TypeAdapter(BestAvailable | ChosenSeats)
    with pytest.raises(ValidationError) as refused:
        wish.validate_python(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in refused.value.errors()]
    told: list[dict[str, str]] = invalid(errors, names_in(DOCUMENT)).extensions["errors"]
    return told


def test_b57_of_a_body_of_several_forms_the_nearest_one_tells_the_member_and_its_bound() -> None:
    assert refused_for({"section": "A", "quantity": 99}) == [
        {"where": "body.quantity", "why": "less_than_equal", "needed": "16"}
    ]
    seats = [{"row": 0, "seat": -1}]
    assert refused_for({"section": "A", "seats": seats}) == [
        {"where": "body.seats.0.seat", "why": "greater_than_equal", "needed": "0"}
    ]


def test_b57_a_body_as_far_from_each_form_is_told_of_all() -> None:
    told = {(one["where"], one["why"]) for one in refused_for({"section": "A", "qty": 2})}
    # A name that is the client's own is not repeated.
    assert told == {
        ("body.quantity", "missing"),
        ("body.seats", "missing"),
        ("body", "extra_forbidden"),
    }
