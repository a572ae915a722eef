"""A request is one line of the log whatever is in it, and every line carries its ids (B78)."""

import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.paths import ROOT
from infra.process.log_lines import (
    REPEAT_S,
    Correlation,
    JsonFormatter,
    Repeats,
    TextFormatter,
    current,
    escaped,
)

SPEAKER = """
import logging, sys
from infra.process.log_lines import configure
configure(sys.argv[1], "INFO")
log = logging.getLogger("a.b")
log.debug("nobody hears this")
log.info("it begins")
log.warning("bad\\nINFO seatstream: sold")
"""
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


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_process_that_is_configured_so_writes_each_record_as_one_line(
    log_format: str,
) -> None:
    told = subprocess.run(
        [sys.executable, "-c", SPEAKER, log_format],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == ""
    [first, second] = told.stderr.splitlines()
    assert "it begins" in first
    assert "INFO seatstream: sold" in second
    assert not second.startswith("INFO")
