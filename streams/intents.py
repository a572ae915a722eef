"""What a handler says of effects outside Kafka, and what it hears of them.

An intent is opened in the state, so it is stored in the batch's transaction and seen at once, also
by the next record of the same batch. After the commit the worker performs it when it is due; the
answer comes back as a record on the source topic, same partition number. The handler that folds
that record settles the intent, or opens its next attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from serdes.avro.codegen import decoder, encoder
from serdes.avro.refused import Refused
from streams.batch import State

INTENT: Final = b"\xfe"
"""Begins the store key of an open intent, in any route's store.

Behind all keys that a handler makes, so that intents lie together at the end of a store and of a
batch's changes.
"""

_RECORD: Final = "io.seatstream.state.OpenIntent"
_decode = decoder(_RECORD)
_encode = encoder(_RECORD)

ID_BYTES_MAX: Final = 200
PAYLOAD_BYTES_MAX: Final = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An effect outside Kafka that is wanted, until it is settled.

    id:              of one effect, for ever: never used again once it was settled.
    destination:     which performer of the route is called.
    idempotency_key: the same for every call, by whatever owner: so the destination acts once.
    payload:         what the performer needs, in a form of the route's own; at most 32 KiB.
    due_ms:          when it is performed, Unix ms by the log's time; the past for at once.
    opened_ms:       log time at which it was first opened, Unix ms.
    call_ms:         how long a call may take.
    attempt:         1 for the first; each retry has a higher one.
    may_have_run:    the destination may have heard of it by an attempt before this one; once
                     set, it stays.
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

    def again(self, due_ms: int, *, may_have_run: bool = True) -> Intent:
        """Return the next attempt at the same effect, under the same idempotency key.

        may_have_run: as the answer said that ended this attempt. Who does not know leaves it.
        """
        return replace(
            self,
            attempt=self.attempt + 1,
            due_ms=due_ms,
            may_have_run=self.may_have_run or may_have_run,
        )


def stored_intent(intent: Intent) -> tuple[bytes, bytes]:
    """Return (key, payload) of a store's record."""
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


def read_intent(key: bytes, payload: bytes) -> Intent:
    """Return the intent of a stored record; raise Refused unless it is one of ours."""
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
        )
    except ValueError as error:
        raise Refused(str(error)) from error


DETAIL_MAX = 200
"""Characters of an answer's detail."""

Performer = Callable[[Intent], Awaitable[bytes]]
"""Makes one call and returns what the destination said, a refusal included.

It raises where the destination could not be talked to, or is in trouble of its own: that counts
for its circuit, as does a call that takes longer than it may. `NotDone` says that the destination
is known to have done nothing. A call is cancelled when its time is over, must not keep the event
loop waiting, and must send the intent's idempotency key.
"""


class NotDone(Exception):
    """Raised by a performer: the destination was not reached, or sent us away, and did nothing.

    why: for people, as a `detail`. wait_ms: for how long it does not want to be called.
    Operator action: look at the destination; its handler tries again as it sees fit.
    """

    def __init__(self, why: str, wait_ms: int = 0) -> None:
        super().__init__(why)
        self.wait_ms = wait_ms


class Result(StrEnum):
    """How a call ended."""

    ANSWERED = "ANSWERED"
    """The performer returned; the payload is what it returned."""
    FAILED = "FAILED"
    """The performer raised. Whether the destination acted is unknown."""
    TIMED_OUT = "TIMED_OUT"
    """The call took longer than it may. Whether the destination acted is unknown."""
    NOT_DONE = "NOT_DONE"
    """The performer raised NotDone: the destination did nothing in this attempt."""
    NOT_TRIED = "NOT_TRIED"
    """No call was made: the destination has failed again and again, and is left alone for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one attempt at an intent.

    payload:       what the performer returned; empty unless ANSWERED.
    detail:        for people, what went wrong; at most 200 characters.
    wait_ms:       for NOT_TRIED, how long the destination is not called anyway; for NOT_DONE, how
                   long it does not want to be.
    may_have_run:  the destination may have heard of the intent: by this attempt, by one before it,
                   or from a former owner of the partition. Only where it is not set NOT_TRIED and
                   NOT_DONE mean that it never did anything for it.
    """

    result: Result
    payload: bytes = b""
    detail: str = ""
    wait_ms: int = 0
    may_have_run: bool = True


def open_intent(state: State, intent: Intent) -> None:
    """Have an intent performed; one that is open already takes its next attempt.

    Raises ValueError where an open one would get another destination or idempotency key, or would
    not get a higher attempt. Opening exactly what is open changes nothing. That it may have run
    stays so, whatever the next attempt says.
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


def settle_intent(state: State, intent_id: str) -> None:
    """Have an intent performed no more; nothing where none of this id is open."""
    if intent_of(state, intent_id) is not None:
        state.delete(_key(intent_id))


def intent_of(state: State, intent_id: str) -> Intent | None:
    """Return the open intent of this id."""
    key = _key(intent_id)
    stored = state.get(key)
    return None if stored is None else read_intent(key, stored)


def open_intents(state: State) -> list[Intent]:
    """Return every open intent in due order; for tests and rare questions: all are read."""
    keys = state.keys(INTENT)
    stored = zip(keys, state.get_many(keys), strict=True)
    intents = [read_intent(key, payload) for key, payload in stored if payload is not None]
    return sorted(intents, key=lambda one: (one.due_ms, one.id))


def is_current(state: State, intent_id: str, attempt: int) -> bool:
    """Say whether an answer is to the attempt that is open: not repeated, late or foreign."""
    intent = intent_of(state, intent_id)
    return intent is not None and intent.attempt == attempt


def changed_intents(
    changed: Iterable[tuple[bytes, bytes | None]],
) -> Iterator[tuple[str, Intent | None]]:
    """Give id and intent of each that a batch opened, and id and None of each that it settled.

    changed: keys and payloads that it changed under `INTENT`; None for what it deleted.
    """
    for key, payload in changed:
        if payload is None:
            yield key.removeprefix(INTENT).decode(), None
        else:
            intent = read_intent(key, payload)
            yield intent.id, intent


def _key(intent_id: str) -> bytes:
    return INTENT + intent_id.encode()
