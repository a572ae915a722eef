"""One number has one form, in paths, queries, tokens and cursors (B54)."""

import asyncio
from base64 import urlsafe_b64encode
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.api_client import BUYER, OPERATOR
from support.pods.api_pods import client_of
from support.pods.whole_pods import whole_pod

from api.app import documented
from api.events.endpoints import _position
from api.web.problems import Problem
from api.web.whole_numbers import INT64_MAX, whole_in

OTHERS = [
    "007", "+7", " 7", "7 ", "7.0", "7_0", "-0", "-7", "7e0", "0x7", "", "00", "7,", "true",
    "9223372036854775808", "7" * 5_000,
    # Digits of other scripts: Arabic, full width, N'Ko, bold.
    "\u0667", "\uff17", "\u07c7", "\U0001d7d5", "7\u200b",
]  # fmt: skip


@given(st.integers(-(2**70), 2**70))
def test_every_number_is_read_from_its_usual_form_alone(number: int) -> None:
    expected = number if 0 <= number <= INT64_MAX else None
    assert whole_in(str(number)) == expected
    assert whole_in(f"0{number}") is None
    assert whole_in(f" {number}") is None


@given(st.text(max_size=8))
def test_a_text_that_is_a_number_is_the_text_of_that_number(text: str) -> None:
    found = whole_in(text)
    assert found is None or str(found) == text


def numbers() -> list[tuple[str, str, str, str]]:
    """Return method, path, place and name of every whole number that the document knows."""
    found = []
    for path, methods in documented().openapi()["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
                if "integer" in kinds:
                    found.append((method, path, parameter["in"], parameter["name"]))
    return found


def test_f2_a_number_of_any_other_form_is_400_wherever_it_stands() -> None:
    good = {"event_id": "7", "section": "A", "reservation_id": "r-0", "payment_id": "r-0"}
    body = {"section": "A", "quantity": 1}

    async def go() -> None:
        async with client_of(whole_pod()) as client:
            for method, path, place, name in numbers():
                for other in OTHERS:
                    if place == "path" and not other:
                        continue
                    given_ = {**good, name: other} if place == "path" else good
                    target = path
                    for parameter, text in given_.items():
                        target = target.replace(f"{{{parameter}}}", quote(text, safe=""))
                    if place == "query":
                        target += f"?{name}={quote(other, safe='')}"
                    await refused(client, method, target, body)

    async def refused(
        client: httpx.AsyncClient, method: str, target: str, body: dict[str, object]
    ) -> None:
        headers = {**BUYER, "Idempotency-Key": "one"}
        if target.endswith((":close", ":admission", "/state")) or "/compensations" in target:
            headers |= OPERATOR
        json = body if method == "post" else None
        answer = await client.request(method.upper(), target, headers=headers, json=json)
        assert (answer.status_code, answer.json()["reason"]) == (400, "MALFORMED"), target[:80]

    assert len(numbers()) > 15
    asyncio.run(go())


@pytest.mark.parametrize(
    "position", [b"01.7", b"1.07", b"+1.7", b"1_0.7", b"1.7 ", b"1", b"1.7.7"]
)
def test_a_cursor_is_as_it_was_given_out(position: bytes) -> None:
    good = urlsafe_b64encode(b"1.7").decode().rstrip("=")
    assert _position(good) == (1, 7)
    for cursor in (urlsafe_b64encode(position).decode().rstrip("="), good + "=", good + "!"):
        with pytest.raises(Problem):
            _position(cursor)
