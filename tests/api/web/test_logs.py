"""A request is one line of the log whatever is in it, and every line carries its ids (B78)."""

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.logs import (
    REPEAT_S,
    Correlation,
    JsonFormatter,
    Repeats,
    TextFormatter,
    correlation_of,
    current,
    escaped,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HOSTILE = [
    "a\r\nINFO seatstream.api: sold",
    "\x1b[2J\x1b[31mred",
    "${jndi:ldap://x/a}",
    "x" * 100_000,
    "\u202egnp.exe",
    "a\u2028b\x85c",
    "\ud800",
]


def line_of(formatter: logging.Formatter, message: str, **fields: object) -> str:
    record = logging.LogRecord("seatstream.api", logging.INFO, "f", 1, "%s", (message,), None)
    record.fields = fields
    return formatter.format(record)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: repr(text[:12]))
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_hostile_text_stays_on_its_line_and_drives_no_terminal(
    formatter: logging.Formatter, hostile: str
) -> None:
    line = line_of(formatter, hostile, path=hostile)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    line.encode()


@given(st.text(st.characters()))
def test_no_text_ends_a_line(text: str) -> None:
    for formatter in (JsonFormatter(), TextFormatter()):
        assert len(line_of(formatter, text, value=text).splitlines()) <= 1
    assert all(
        letter.isprintable() or letter.isspace() for letter in escaped(text) if letter < "\xa0"
    )


def test_a_client_that_complains_all_the_time_is_heard_now_and_then() -> None:
    now_s = [0.0]
    repeats = Repeats(lambda: now_s[0])

    def passes(name: str, message: str) -> bool:
        record = logging.LogRecord(name, logging.ERROR, "f", 1, message, (), None)
        return bool(repeats.filter(record))

    refused = "FAIL [seatstream-outcome-feed#producer-2] [thrd:localhost:9092/bootstrap] "
    assert passes("state.stores.feed", refused + "after 0 ms")
    assert not passes("state.stores.feed", refused + "after 3 ms")
    assert passes("state.stores.log", refused)
    assert all(passes("seatstream.api", "the same") for _ in range(3))
    now_s[0] = REPEAT_S
    assert passes("state.stores.feed", refused)


def test_json_lines_can_be_read_back() -> None:
    told = json.loads(line_of(JsonFormatter(), HOSTILE[0], path="/é"))
    assert (told["message"], told["path"]) == (HOSTILE[0], "/é")


def test_a_trace_of_ours_does_not_look_like_lines_of_the_log() -> None:
    error = ValueError("bad\n2026-01-01 INFO seatstream.api: sold")
    told = (ValueError, error, None)
    record = logging.LogRecord("seatstream.api", logging.ERROR, "f", 1, "oops", (), told)
    for line in TextFormatter().format(record).splitlines()[1:]:
        assert line.startswith("  | ")
    assert "\n" not in JsonFormatter().format(record)


def test_lines_written_while_a_request_is_answered_carry_its_ids() -> None:
    token = current.set(Correlation("order-7", TRACE))
    try:
        text = line_of(TextFormatter(), "hello")
        told = json.loads(line_of(JsonFormatter(), "hello"))
    finally:
        current.reset(token)
    assert "correlation_id=order-7" in text
    assert (told["correlation_id"], told["traceparent"]) == ("order-7", TRACE)
    assert "correlation_id" not in line_of(TextFormatter(), "hello")


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_a_well_formed_id_is_kept(told: str) -> None:
    assert correlation_of([(b"x-correlation-id", told.encode())]).id == told


@given(st.binary(max_size=80))
def test_any_other_id_is_replaced_by_one_of_ours(told: bytes) -> None:
    if not re.fullmatch(rb"[A-Za-z0-9._-]{1,64}", told):
        made = correlation_of([(b"x-correlation-id", told)]).id
        assert re.fullmatch(r"[0-9a-f]{16}", made)


def test_two_requests_without_an_id_get_two() -> None:
    assert correlation_of([]).id != correlation_of([]).id


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), ""),
        (TRACE + "-more", ""),
        ("ff" + TRACE[2:], ""),
        (TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), ""),
        (TRACE.replace("b7ad6b7169203331", "0" * 16), ""),
        ("", ""),
    ],
)
def test_a_trace_context_passes_if_it_is_one(told: str, kept: str) -> None:
    assert correlation_of([(b"traceparent", told.encode())]).traceparent == kept
