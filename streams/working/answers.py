"""The two records that a worker sends itself beside its events: ticks, and answers to its calls.

Their keys begin with a zero byte, as no event's may. Groups that read one topic see each other's:
a tick moves everybody's time, an answer is its own role's alone.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Final, NamedTuple

from serdes.decoding import Undecodable
from streams.batch import Record
from streams.intents import Answer, Intent, Result
from streams.route import Tick

OURS: Final = b"\0"
"""Begins the keys of what workers send themselves."""

TICK_KEY: Final = OURS + b"tick"
ANSWER_KEY: Final = OURS + b"answer:"

BAD_ANSWER: Final = "BAD_ANSWER"
ROLE: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_INTENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}:([0-9a-f]{32}):(0|[1-9][0-9]{0,18})")
_CLOCK: Final = re.compile(rb"0|[1-9][0-9]{0,15}")
_MS_MAX: Final = 86_400_000

TICK: Final = Tick(lambda clock_ms: (TICK_KEY, b"%d" % clock_ms))


class Said(NamedTuple):
    """What became of an attempt at a call.

    line, offset: of the record that the call is for.
    """

    intent_id: str
    line: str
    offset: int
    attempt: int
    answer: Answer


def tell(role: str, intent: Intent, answer: Answer) -> tuple[bytes, bytes]:
    """Return (key, value) of an answer's record."""
    said = (
        *(intent.id, intent.attempt, answer.result, base64.b64encode(answer.payload).decode()),
        *(answer.detail, answer.wait_ms, answer.may_have_run),
    )
    return ANSWER_KEY + role.encode(), json.dumps(said).encode()


def clock_of(record: Record) -> int | Undecodable:
    """Return what a tick tells."""
    if _CLOCK.fullmatch(record.value or b"") is None:
        return Undecodable(BAD_ANSWER, f"no tick: {record.value!r:.100}")
    return int(record.value or b"")


def said_in(record: Record) -> Said | Undecodable:
    """Return what an answer's record says, whoever wrote it."""
    try:
        intent_id, attempt, result, payload, detail, wait_ms, ran = json.loads(record.value or b"")
        found = _INTENT_ID.fullmatch(intent_id)
        answer = Answer(
            result=Result(result),
            payload=base64.b64decode(payload, validate=True),
            detail=str(detail),
            wait_ms=max(0, min(wait_ms, _MS_MAX)),
            may_have_run=ran is not False,
        )
    except (ValueError, TypeError, RecursionError) as error:
        return Undecodable(BAD_ANSWER, f"{type(error).__name__}: {record.value!r:.100}")
    if found is None or type(attempt) is not int or type(wait_ms) is not int:
        return Undecodable(BAD_ANSWER, f"of no intent of ours: {record.value!r:.100}")
    return Said(intent_id, found[1], int(found[2]), attempt, answer)
