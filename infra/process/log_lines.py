"""Log lines of every process: one line each whatever is in them, as text or as JSON.

A line has time, level, logger and message; behind them the ids of the request that it belongs to,
and what was logged as `extra={"fields": {...}}`. Ids are set once, when a request arrives, and
every line written while it is answered carries them.
"""

import json
import logging
import logging.config
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from infra.process.environment import one_of

FORMAT: Final = "LOG_FORMAT"
LEVEL: Final = "LOG_LEVEL"
a_format: Final = one_of("text", "json")
a_level: Final = one_of("DEBUG", "INFO", "WARNING", "ERROR")

REPEAT_S: Final = 10.0
REPEAT_CHARACTERS: Final = 60
REPEAT_KINDS: Final = 1_000
# Whose loggers are named so speaks for a client of brokers, registry or Redis.
_CLIENTS: Final = "state."

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


def configuration(log_format: str, level: str) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes: lines of one form to standard error."""
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"repeats": {"()": Repeats}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["repeats"],
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
    }


def configure(log_format: str, level: str) -> None:
    """Send the log of this process to standard error in the form asked for."""
    logging.config.dictConfig(configuration(log_format, level))


def escaped(text: str) -> str:
    """Return text that stays on one line and shows what it is made of."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Repeats(logging.Filter):
    """Lets what the clients of servers complain about through once in `REPEAT_S`.

    Brokers that are gone make each client complain dozens of times a second.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock_s = clock_s
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_CLIENTS):
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
