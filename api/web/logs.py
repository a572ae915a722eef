"""Log lines of a pod: one line each whatever is in them, with correlation and trace ids.

The ids of a request are found once, when it arrives, and every line written while it is answered
carries them.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final

CORRELATION_HEADER: Final = b"x-correlation-id"
TRACEPARENT_HEADER: Final = b"traceparent"

REPEAT_S: Final = 10.0
REPEAT_CHARACTERS: Final = 60
REPEAT_KINDS: Final = 1_000

log: Final = logging.getLogger("seatstream.api")
access: Final = logging.getLogger("seatstream.api.access")

CORRELATION_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context, version 00; an id of zeros only is none.
_TRACEPARENT: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# What can begin a line, move a cursor or turn the direction of writing.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Correlation:
    """The ids that follow a request through log lines, records and answers.

    id:          of the caller where it is well formed, else a new one.
    traceparent: W3C Trace Context as it came; empty for none.
    """

    id: str
    traceparent: str = ""


NONE: Final = Correlation("")
current: Final[ContextVar[Correlation]] = ContextVar("correlation", default=NONE)


def correlation_of(headers: Iterable[tuple[bytes, bytes]]) -> Correlation:
    """Return a request's ids; headers are lower-case names and values, as ASGI gives them."""
    correlation_id = traceparent = b""
    for name, value in headers:
        if name == CORRELATION_HEADER and CORRELATION_ID.fullmatch(value):
            correlation_id = value
        elif name == TRACEPARENT_HEADER and _TRACEPARENT.fullmatch(value):
            traceparent = value
    return Correlation(correlation_id.decode() or token_hex(8), traceparent.decode())


def escaped(text: str) -> str:
    """Return text that stays on one line and shows what it is made of."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def configure(log_format: str, level: str) -> None:
    """Send the log to standard error in the form asked for."""
    handler = logging.StreamHandler()
    handler.addFilter(Repeats())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class Repeats(logging.Filter):
    """Lets what the stores' clients complain about through once in `REPEAT_S`.

    Brokers that are gone make each client complain dozens of times a second.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock_s = clock_s
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("state."):
            return True
        # What follows, such as how long an attempt took, differs each time.
        kind = (record.name, record.getMessage()[:REPEAT_CHARACTERS])
        now_s = self._clock_s()
        if now_s - self._told.get(kind, -REPEAT_S) < REPEAT_S:
            return False
        if len(self._told) >= REPEAT_KINDS:
            self._told.clear()
        self._told[kind] = now_s
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time_ms": int(record.created * 1000),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        # ASCII only: no character can end the line or turn its direction.
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A line to read: time, level, logger, message, ids and fields."""

    def format(self, record: logging.LogRecord) -> str:
        shown = {**_ids(record), **getattr(record, "fields", {})}
        tail = "".join(f" {name}={_word(str(value))}" for name, value in shown.items())
        stamp = self.formatTime(record)
        line = f"{stamp} {record.levelname} {record.name}: {escaped(record.getMessage())}{tail}"
        if record.exc_info:
            # A trace has lines of its own; the mark keeps them from passing as log lines.
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n  | {escaped(one)}" for one in trace)
        return line


def _ids(record: logging.LogRecord) -> dict[str, str]:
    ids: Correlation = getattr(record, "correlation", None) or current.get()
    shown = {"correlation_id": ids.id, "traceparent": ids.traceparent}
    return {name: value for name, value in shown.items() if value}


def _word(text: str) -> str:
    return json.dumps(text) if not text or " " in text or '"' in text else escaped(text)
