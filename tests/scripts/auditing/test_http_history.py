"""What an answer means to who asked: done, refused, or nobody knows."""

import json
from dataclasses import replace
from typing import Any

import pytest

from scripts.auditing.http_history import NO_ANSWER, Act, Exchange, Kind

ASKED = Exchange(Act.RESERVE, 1_000_000, 3_500_000, "u1", 7)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {}, Kind.OK),
        (201, {}, Kind.OK),
        (202, {}, Kind.PENDING),
        (409, {"reason": "SOLD_OUT"}, Kind.REFUSED),
        (409, {"reason": "STILL_RUNNING"}, Kind.PENDING),
        (429, {}, Kind.REFUSED),
        # With a reason the pod says itself that nothing was appended; a proxy's knows nothing.
        (503, {"reason": "NO_BROKER"}, Kind.REFUSED),
        (503, {}, Kind.PENDING),
        (500, {"reason": "INTERNAL"}, Kind.PENDING),
        (504, {}, Kind.PENDING),
        (NO_ANSWER, {}, Kind.PENDING),
    ],
)
def test_only_what_is_certain_is_done_or_refused(
    status: int, body: dict[str, Any], kind: Kind
) -> None:
    told = replace(ASKED, status=status, body=json.dumps(body).encode())
    assert told.kind(told.document()) is kind


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", b"null"])
def test_what_is_no_object_says_nothing(body: bytes) -> None:
    assert replace(ASKED, body=body).document() == {}


def test_an_object_is_read() -> None:
    assert replace(ASKED, body=b'{"version": 3}').document() == {"version": 3}


def test_latency_is_from_the_question_to_the_answer() -> None:
    assert ASKED.latency_ms == 2.5
