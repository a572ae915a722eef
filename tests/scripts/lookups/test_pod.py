"""What a pod, or whoever answers at its address, may say."""

import pytest
from support.fixed_answers import answering

from scripts.lookups.pod import NoAnswer, sections_of


def test_sections_are_read_by_name_with_the_token() -> None:
    with answering(200, b'{"sections": [{"section": "A", "version": 3}]}') as (url, shown):
        assert sections_of(url + "/", 9, "secret") == {"A": {"section": "A", "version": 3}}
    assert shown == ["/v1/events/9/availability Bearer secret"]


def test_an_event_that_the_pod_does_not_know_has_no_sections() -> None:
    with answering(404, b'{"reason": "NOT_FOUND"}') as (url, _):
        assert sections_of(url, 9, "") == {}


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b'{"reason": "UNAUTHORIZED"}', "answers 401 UNAUTHORIZED"),
        (404, b"<html>a stranger's", "answers 404"),
        (503, b"[]", "answers 503"),
        (200, b"<html>", "tells no sections"),
        (200, b'{"sections": [1]}', "tells no sections"),
        (200, b'{"sections": null}', "tells no sections"),
        (200, b"[" * 100_000, "tells no sections"),
        (200, b"\xff", "tells no sections"),
    ],
)
def test_b_what_is_no_availability_is_no_answer(status: int, body: bytes, told: str) -> None:
    with answering(status, body) as (url, _), pytest.raises(NoAnswer, match=told):
        sections_of(url, 9, "")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "10.0.0.4:8000", "", "http://127.0.0.1:1"])
def test_nobody_else_is_asked(url: str) -> None:
    with pytest.raises(NoAnswer, match=r"no address of a pod|cannot be asked"):
        sections_of(url, 9, "")
