"""A route that has things done outside: a word opens an intent, an answer settles or retries it.

    b"call ID DESTINATION"            opens an intent that is due at once
    b"call ID DESTINATION PAUSE_MS"   due so much later
    b"answer ID ATTEMPT RESULT RAN TEXT"  what became of one; told by the executor. RAN: 1 where
                                          it may have run

Whatever is applied is published once: key ID, value RESULT and TEXT. What is not answered is tried
again after `retry_ms`, for ever.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from infra.process.record_ids import Headers, followed
from streams.batch import Batch, Effects, Record, State
from streams.intents import (
    Answer,
    Intent,
    Performer,
    Result,
    intent_of,
    is_current,
    open_intent,
    settle_intent,
)
from streams.route import Progress, Route

PROGRESS_KEY = b"p"
APPLIED = b"a"


def read_progress(state: State) -> Progress:
    next_offset, log_time_ms = (state.get(PROGRESS_KEY) or b"0 0").split()
    return Progress(int(next_offset), int(log_time_ms))


def note_progress(records: Sequence[Record], state: State, log_time_ms: int) -> None:
    log_time_ms = max(log_time_ms, *(record.timestamp for record in records))
    next_offset = max(read_progress(state).next_offset, records[-1].offset + 1)
    state.put(PROGRESS_KEY, b"%d %d" % (next_offset, log_time_ms))


def tell(intent: Intent, answer: Answer) -> tuple[bytes | None, bytes]:
    head = f"answer {intent.id} {intent.attempt} {answer.result} {answer.may_have_run:d} "
    return intent.id.encode(), head.encode() + (answer.payload or answer.detail.encode())


def calling(
    performers: Mapping[str, Performer],
    *,
    prefix: str = "",
    retry_ms: int = 1_000,
    call_ms: int = 10_000,
    close: Callable[[], Awaitable[None]] | None = None,
) -> Route:
    """Return the route over topics with this prefix."""
    ours = {PROGRESS_KEY, APPLIED}
    return Route(
        "calling",
        prefix + "asked",
        Calling(prefix + "applied", retry_ms, call_ms),
        (prefix + "applied",),
        prefix + "changelog",
        prefix + "dead",
        progress=read_progress,
        refuse=_refuse,
        owns=lambda key, _partition, _partitions: key[:1] in ours,
        contradiction=lambda items, _partition, _partitions: next(
            (f"{key!r}" for key, _ in items if key[:1] not in ours), ""
        ),
        performers=performers,
        answer=tell,
        close=close,
    )


def _refuse(_batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
    note_progress([record], state, log_time_ms)
    return Effects()


@dataclass
class Calling:
    """The handler."""

    applied: str
    retry_ms: int
    call_ms: int

    def __call__(self, batch: Batch, state: State, log_time_ms: int) -> Effects:
        effects = Effects()
        for record in batch.records:
            if record.offset < read_progress(state).next_offset:
                continue
            log_time_ms = max(log_time_ms, record.timestamp)
            kind, intent_id, *rest = (record.value or b"none none").decode().split(" ", 5)
            if kind == "call":
                self._call(state, intent_id, rest, log_time_ms, followed(record.headers))
            elif kind == "answer":
                self._answered(effects, state, intent_id, rest, log_time_ms)
        note_progress(batch.records, state, log_time_ms)
        return effects

    def _call(
        self,
        state: State,
        intent_id: str,
        rest: Sequence[str],
        log_time_ms: int,
        trace: Headers,
    ) -> None:
        if state.get(APPLIED + intent_id.encode()) is None and not intent_of(state, intent_id):
            intent = Intent(
                id=intent_id,
                destination=rest[0],
                idempotency_key=f"key-{intent_id}",
                payload=f"please {intent_id}".encode(),
                due_ms=log_time_ms + (int(rest[1]) if len(rest) > 1 else 0),
                opened_ms=log_time_ms,
                call_ms=self.call_ms,
                trace=trace,
            )
            open_intent(state, intent)

    def _answered(
        self,
        effects: Effects,
        state: State,
        intent_id: str,
        rest: Sequence[str],
        log_time_ms: int,
    ) -> None:
        attempt, result, ran, text = rest
        effects.decisions[result] = effects.decisions.get(result, 0) + 1
        if not is_current(state, intent_id, int(attempt)):
            effects.decisions["STALE"] = effects.decisions.get("STALE", 0) + 1
            return
        if result == Result.ANSWERED:
            settle_intent(state, intent_id)
            state.put(APPLIED + intent_id.encode(), text.encode())
            effects.to(self.applied).append((intent_id.encode(), text.encode()))
            return
        intent = intent_of(state, intent_id)
        assert intent is not None
        again = intent.again(log_time_ms + self.retry_ms, may_have_run=ran == "1")
        open_intent(state, again)
