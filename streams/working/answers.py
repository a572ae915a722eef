"""The two records that a worker sends itself beside its events: ticks, and answers to its calls.

Their keys begin with a zero byte, as no event's may. Groups that read one topic see each other's:
a tick moves everybody's time, an answer is its own role's alone.

Whoever may write events of the topic may write these too. A tick moves time no further than the
broker's append time does. An answer is believed where it has the seal of the role's workers:

    64 hex digits of HMAC-SHA256, a space, JSON      without a seal: JSON alone

It is over the record's key and the JSON, which names the call and its idempotency key: so no
answer is worth anything for another call, role, or partition.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

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
# Nothing else that is signed with the same secret can be taken for an answer.
_PURPOSE: Final = b"answer to a call of a seatstream worker"

TICK: Final = Tick(lambda clock_ms: (TICK_KEY, b"%d" % clock_ms))


class Seal(Protocol):
    """What the workers of a role sign their answers with; `streams.gateways.webhooks.Secrets`."""

    def sign(self, content: Sequence[bytes]) -> bytes:
        """Return the signature of the joined content: 64 hex digits."""

    def signed_any(self, content: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Say in constant time whether one of the signatures is over the joined content."""


class Said(NamedTuple):
    """What became of an attempt at a call.

    line, offset: of the record that the call is for.
    """

    intent_id: str
    idempotency_key: str
    line: str
    offset: int
    attempt: int
    answer: Answer


def tell(role: str, seal: Seal | None, intent: Intent, answer: Answer) -> tuple[bytes, bytes]:
    """Return (key, value) of an answer's record."""
    said = (
        *(intent.id, intent.idempotency_key, intent.attempt),
        *(answer.result, base64.b64encode(answer.payload).decode()),
        *(answer.detail, answer.wait_ms, answer.may_have_run),
    )
    key, value = ANSWER_KEY + role.encode(), json.dumps(said).encode()
    return key, value if seal is None else seal.sign(_sealed(key, value)) + b" " + value


def clock_of(record: Record) -> int | Undecodable:
    """Return what a tick tells."""
    if _CLOCK.fullmatch(record.value or b"") is None:
        return Undecodable(BAD_ANSWER, f"no tick: {record.value!r:.100}")
    return int(record.value or b"")


def said_in(record: Record, seal: Seal | None) -> Said | Undecodable:
    """Return what an answer's record says; seal: None where everybody is believed."""
    value = record.value or b""
    if seal is not None:
        # Before anything reads what a stranger may have written.
        signature, _, value = value.partition(b" ")
        if not seal.signed_any(_sealed(record.key or b"", value), (signature,)):
            return Undecodable(BAD_ANSWER, "without the seal of this role's workers")
    try:
        intent_id, key, attempt, result, payload, detail, wait_ms, ran = json.loads(value)
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
    is_sound = type(attempt) is int and type(wait_ms) is int and type(key) is str
    if found is None or not is_sound:
        return Undecodable(BAD_ANSWER, f"of no intent of ours: {record.value!r:.100}")
    return Said(intent_id, key, found[1], int(found[2]), attempt, answer)


def _sealed(key: bytes, value: bytes) -> tuple[bytes, ...]:
    """Return what a seal is over: parts with their lengths, so that no two have the same bytes."""
    parts = (_PURPOSE, key, value)
    return tuple(piece for part in parts for piece in (len(part).to_bytes(8, "big"), part))
