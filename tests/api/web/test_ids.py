"""Ids in paths and bodies are those of the domain, and nothing that only looks alike."""

import asyncio
import re
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from support.pods.api_pods import client_of_routes, pod_with

from api.web.ids import (
    SECTION_FORM,
    EventId,
    EventIdInPath,
    ReservationIdInPath,
    SectionId,
    SectionIdInPath,
)
from state.domain.keys import SECTION_ID

SECTION: TypeAdapter[str] = TypeAdapter(SectionId)
EVENT: TypeAdapter[int] = TypeAdapter(EventId)


def is_taken(adapter: TypeAdapter[Any], value: object) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


@given(st.from_regex(SECTION_FORM) | st.text(max_size=40))
def test_a_section_id_is_one_for_the_api_where_it_is_one_for_the_log(text: str) -> None:
    """A text that ends with a line end is none, whatever `$` means to a reader of patterns."""
    is_id = SECTION_ID.fullmatch(text.encode("utf-8", "surrogatepass")) is not None
    assert is_taken(SECTION, text) == is_id


@pytest.mark.parametrize(
    "bad",
    ["", "A" * 33, "a", "A ", "A\n", "\nA", "\uff21", "A\u200d", "\u202eA", "A_B", "A/B", "É"],
)
def test_b34_what_only_looks_like_a_section_id_is_none(bad: str) -> None:
    assert not is_taken(SECTION, bad)


@pytest.mark.parametrize(
    ("value", "is_id"), [(0, True), (2**63 - 1, True), (-1, False), (2**63, False)]
)
def test_an_event_id_has_63_bits(value: int, is_id: bool) -> None:
    assert is_taken(EVENT, value) == is_id


def all_three(application: FastAPI) -> None:
    @application.get("/test/{event_id}/{section}/{reservation_id}")
    async def tell(
        event_id: EventIdInPath, section: SectionIdInPath, reservation_id: ReservationIdInPath
    ) -> list[Any]:
        return [event_id, section, reservation_id]


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("0/A/r", None),
        ("9223372036854775807/A-1/r_-9", None),
        ("9223372036854775808/A/r", "path.event_id"),
        ("007/A/r", "path.event_id"),
        ("%2B7/A/r", "path.event_id"),
        ("7/a/r", "path.section"),
        ("7/A%0A/r", "path.section"),
        ("7/A/r%0A", "path.reservation_id"),
        ("7/A/r%00", "path.reservation_id"),
        ("7/A/%C3%A9", "path.reservation_id"),
        ("7/A/" + "r" * 65, "path.reservation_id"),
    ],
)
def test_b34_b36_an_id_in_a_path_has_one_form(path: str, where: str | None) -> None:
    async def go() -> None:
        async with client_of_routes(pod_with(), all_three) as client:
            answer = await client.get(f"/test/{path}")
            if where is None:
                assert answer.json() == [int(path.split("/", maxsplit=1)[0]), *path.split("/")[1:]]
            else:
                body = answer.json()
                assert (answer.status_code, body["reason"]) == (400, "MALFORMED")
                assert [error["where"] for error in body["errors"]] == [where]

    asyncio.run(go())


def test_the_document_says_what_the_domain_says() -> None:
    assert re.compile(SECTION_FORM).fullmatch("A-1")
    assert SECTION_FORM == "^[A-Z0-9-]{1,32}$"
