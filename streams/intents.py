"""Effects outside Kafka: how a handler opens and settles intents, and what answers it gets.

A handler opens an intent in its state. So the intent is stored by the batch's transaction, and the
next record of the same batch sees it. After the commit the worker performs the intent when it is
due. The answer comes back as a record on the source topic, on the same partition number. The
handler folds that record, and settles the intent or opens its next attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from infra.process.record_ids import Headers, followed
from serdes.avro.codegen import decoder
from serdes.avro.refused import Refused
from serdes.avro.stored import stored_encoder
from streams.batch import State

TRACE: Final = b"\xfd"
"""Begins the store key of the ids that follow an open intent: its cause's, as headers.

Apart from the intent, whose record is released as it is. Before `INTENT`, so that nothing that
looks through the intents meets them.
"""

INTENT: Final = b"\xfe"
"""First byte of an open intent's key in the store, on every route.

It is above that of all keys which a handler makes. So intents lie together at the end of a store,
and of a batch's changes.
"""

_RECORD: Final = "io.seatstream.state.OpenIntent"
_decode = decoder(_RECORD)
_encode = stored_encoder(_RECORD)

JITTER_SHARE: Final = 4
"""An attempt that has waited begins up to a quarter of that time after it is due."""

JITTER_MS_MAX: Final = 60_000
"""And a minute after it at most."""

ID_BYTES_MAX: Final = 200
PAYLOAD_BYTES_MAX: Final = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An effect outside Kafka that a handler wants, until the handler settles it.

    id:              id of one effect; never used again, not even after the intent was settled.
    destination:     name of the performer of the route that makes the call.
    idempotency_key: the same for all calls by all owners, so that the destination acts once.
    payload:         what the performer needs, in a form of the route's own; at most 32 KiB.
    due_ms:          when to perform the intent, Unix ms by the log's time; in the past: at once.
                     Behind a pause it begins a little later: see `begins_ms`.
    opened_ms:       log time when the intent was first opened, Unix ms.
    call_ms:         how long a call may take.
    attempt:         1 for the first attempt; each retry has a higher number.
    may_have_run:    whether an earlier attempt may have reached the destination; once True, it
                     stays True.
    trace:           headers of the record that it was opened for, as `followed` gives them: they
                     go on to the log lines of its calls, and to its answers.
    """

    id: str
    destination: str
    idempotency_key: str
    payload: bytes
    due_ms: int
    opened_ms: int
    call_ms: int = 10_000
    attempt: int = 1
    may_have_run: bool = False
    trace: Headers = field(default=(), compare=False)

    def __post_init__(self) -> None:
        texts = (self.id, self.destination, self.idempotency_key)
        if not all(0 < len(text.encode()) <= ID_BYTES_MAX for text in texts):
            message = f"id, destination and key have 1 to {ID_BYTES_MAX} bytes, not {texts}"
            raise ValueError(message)
        if len(self.payload) > PAYLOAD_BYTES_MAX:
            message = f"{self.id}: a payload of {len(self.payload)} bytes is over the limit"
            raise ValueError(message)
        if self.attempt < 1 or self.call_ms < 1 or self.due_ms < 0:
            message = f"{self.id}: attempt and call_ms begin at 1, due_ms at 0"
            raise ValueError(message)

    @property
    def begins_ms(self) -> int:
        """Return when a worker begins this attempt, Unix ms: after a pause with jitter.

        What failed in one second, since its destination was away, must not come back to it in one
        second. The jitter is made of id and attempt, so it is the same for each owner. It only
        adds, for a pause may be what the destination has asked for.
        """
        span_ms = min((self.due_ms - self.opened_ms) // JITTER_SHARE, JITTER_MS_MAX)
        if span_ms <= 0:
            return self.due_ms
        name = blake2b(f"{self.id}:{self.attempt}".encode(), digest_size=8).digest()
        return self.due_ms + int.from_bytes(name) % (span_ms + 1)

    def again(self, due_ms: int, *, may_have_run: bool = True) -> Intent:
        """Return the next attempt at the same effect, under the same idempotency key.

        may_have_run: as in the answer that ended this attempt; True where that is not known.
        """
        return replace(
            self,
            attempt=self.attempt + 1,
            due_ms=due_ms,
            may_have_run=self.may_have_run or may_have_run,
        )


def stored_intent(intent: Intent) -> tuple[bytes, bytes]:
    """Return the (key, payload) of an intent in the store."""
    return _key(intent.id), _encode(
        intent.destination.encode(),
        intent.idempotency_key.encode(),
        intent.payload,
        intent.due_ms,
        intent.call_ms,
        intent.attempt,
        intent.opened_ms,
        intent.may_have_run,
    )


def trace_key(intent_id: str) -> bytes:
    """Return the store key of the ids that follow an intent."""
    return TRACE + intent_id.encode()


def stored_trace(trace: Headers) -> bytes:
    """Return the store's form of them: a line for each."""
    return b"\n".join(name.encode() + b" " + value for name, value in trace)


def read_trace(stored: bytes | None) -> Headers:
    """Return them again; whatever is not well formed is left out."""
    lines = [line.partition(b" ") for line in (stored or b"").split(b"\n")]
    return tuple(followed([(name.decode(errors="replace"), value) for name, _, value in lines]))


def read_intent(key: bytes, payload: bytes, trace: bytes | None = None) -> Intent:
    """Return the intent under a key of the store; Refused for bytes that are no intent of ours.

    trace: the record of the ids that follow it, if there is one.
    """
    (destination, idempotency_key, content, due_ms, call_ms, attempt, opened_ms, may_have_run) = (
        _decode(payload, 0)
    )
    try:
        return Intent(
            id=key.removeprefix(INTENT).decode(),
            destination=destination.decode(),
            idempotency_key=idempotency_key.decode(),
            payload=content,
            due_ms=due_ms,
            opened_ms=opened_ms,
            call_ms=call_ms,
            attempt=attempt,
            may_have_run=may_have_run,
            trace=read_trace(trace),
        )
    except ValueError as error:
        raise Refused(str(error)) from error


DETAIL_MAX = 200
"""Most characters of an answer's detail."""

Performer = Callable[[Intent], Awaitable[bytes]]
"""Makes one call, and returns what the destination said, even if that is a refusal.

A performer raises where it cannot reach the destination, or where the destination is in trouble.
That counts for the destination's circuit, and so does a call that takes longer than `call_ms`.
`NotDone` says that the destination certainly did nothing. A performer must send the intent's
idempotency key, must not block the event loop, and is cancelled when its time is over.
"""


class NotDone(Exception):
    """A performer raises this where the destination was not reached, or certainly did nothing.

    why: for people; becomes the answer's `detail`. wait_ms: how long the destination does not want
    to be called.
    Operator action: look at the destination; the handler of the intent tries again by its rules.
    """

    def __init__(self, why: str, wait_ms: int = 0) -> None:
        super().__init__(why)
        self.wait_ms = wait_ms


class Result(StrEnum):
    """How a call ended."""

    ANSWERED = "ANSWERED"
    """The performer returned the payload."""
    FAILED = "FAILED"
    """The performer raised. Whether the destination acted is unknown."""
    TIMED_OUT = "TIMED_OUT"
    """The call took longer than it may. Whether the destination acted is unknown."""
    NOT_DONE = "NOT_DONE"
    """The performer raised NotDone: the destination did nothing in this attempt."""
    NOT_TRIED = "NOT_TRIED"
    """No call was made, since the destination's circuit is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one attempt at an intent.

    payload:       what the performer returned; empty unless ANSWERED.
    detail:        for people: what went wrong; at most 200 characters.
    wait_ms:       for NOT_TRIED: how long the circuit stays open; for NOT_DONE: how long the
                   destination does not want to be called.
    may_have_run:  whether this attempt, an earlier one, or one of a former owner may have reached
                   the destination. Only if False do NOT_TRIED and NOT_DONE mean that the
                   destination never did anything for this intent.
    """

    result: Result
    payload: bytes = b""
    detail: str = ""
    wait_ms: int = 0
    may_have_run: bool = True


def open_intent(state: State, intent: Intent) -> None:
    """Open an intent, or the next attempt of one that is open already.

    Raises ValueError where the open intent has another destination or idempotency key, or an
    attempt that is as high. To open an intent exactly as it is open changes nothing. If the open
    one may have run, the next attempt may have run too.
    """
    known = intent_of(state, intent.id)
    if known is not None and known.may_have_run:
        intent = replace(intent, may_have_run=True)
    if known == intent:
        return
    if known is not None and (
        (known.destination, known.idempotency_key) != (intent.destination, intent.idempotency_key)
        or intent.attempt <= known.attempt
    ):
        message = f"intent {intent.id} is open already: {known}; it cannot become {intent}"
        raise ValueError(message)
    state.put(*stored_intent(intent))
    if known is None and intent.trace:
        state.put(trace_key(intent.id), stored_trace(intent.trace))


def settle_intent(state: State, intent_id: str) -> None:
    """End an intent, so that it is performed no more; does nothing where none is open."""
    intent = intent_of(state, intent_id)
    if intent is not None:
        state.delete(_key(intent_id))
        if intent.trace:
            state.delete(trace_key(intent_id))


def intent_of(state: State, intent_id: str) -> Intent | None:
    """Return the open intent with this id; None where none is open."""
    key = _key(intent_id)
    stored, trace = state.get_many([key, trace_key(intent_id)])
    return None if stored is None else read_intent(key, stored, trace)


def open_intents(state: State) -> list[Intent]:
    """Return all open intents by due time. It reads each: for tests and rare questions."""
    ids = [key.removeprefix(INTENT).decode() for key in state.keys(INTENT)]
    intents = [one for intent_id in ids if (one := intent_of(state, intent_id)) is not None]
    return sorted(intents, key=lambda one: (one.due_ms, one.id))


def is_current(state: State, intent_id: str, attempt: int) -> bool:
    """Say whether an attempt is the open one: its answer is not repeated, late or foreign."""
    intent = intent_of(state, intent_id)
    return intent is not None and intent.attempt == attempt


def changed_intents(
    changed: Iterable[tuple[bytes, bytes | None]],
) -> Iterator[tuple[str, Intent | None]]:
    """Give the id and the intent of each that a batch opened; the id and None of each it settled.

    changed: the keys under `INTENT` that the batch changed, and their payloads; None where it
             deleted the key.
    """
    for key, payload in changed:
        if payload is None:
            yield key.removeprefix(INTENT).decode(), None
        else:
            intent = read_intent(key, payload)
            yield intent.id, intent


def _key(intent_id: str) -> bytes:
    return INTENT + intent_id.encode()
