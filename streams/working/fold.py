"""Events of a batch in; attempts at them, one line for each key, out.

    new -> attempted -> done: its effect and its mark in the inbox, in one transaction
                     -> failed: it waits in the store, its key waits behind it, and it is due again
                     -> calls: it waits for the answer, which is a record on the same topic

After the last attempt, or the first that says that none could do it, it is one dead letter, or, of
a worker that is not critical, given up; then its key goes on. A dead letter marks nothing as
consumed: sent again, it is worked on.

A timer is put out by an attempt that succeeds, never by one that fails: after its dead letter it
is set anew, and due at once where that is sent again.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import replace
from typing import Final

from infra.process.record_ids import followed
from streams.batch import Batch, Record, State
from streams.folding.fold import Fold
from streams.intents import (
    ID_BYTES_MAX,
    Answer,
    Intent,
    Result,
    intent_of,
    open_intent,
    settle_intent,
)
from streams.working import lines
from streams.working.answers import OURS, Said
from streams.working.events import known
from streams.working.inbox import Event, Inbox
from streams.working.kept import (
    ATTEMPTS_EXHAUSTED,
    KEPT_BYTES_MAX,
    LINE,
    LINE_FULL,
    LINE_MAX,
    TOO_LARGE_TO_WAIT,
    WAITING,
    Kept,
    line_of,
    offsets_of,
    waiting_key,
)
from streams.working.task import Task, run
from streams.working.work import Work

ALONE: Final = b"\xfca"
"""Store key of the time, Unix ms, until which each record leads to one attempt at most."""

ALONE_MS: Final = 60_000
_READ: Final = "waiting records read"
_UNSURVIVED: Final = "no worker survived it"
_LONGER_UNSURVIVED: Final = 28
"""So many times longer a timer pauses whose attempts end workers: a week, by default."""


class WorkFold(Fold):
    """One batch of a worker's topic being folded into its partition.

    ready: keys of waiting records whose turn has come within the present record.
    """

    tick_name = "tick"
    progress_key = b"\xfcp"

    __slots__ = ("inbox", "ready", "work")

    def __init__(self, work: Work, batch: Batch, state: State, log_time_ms: int) -> None:
        super().__init__(None, batch, state, log_time_ms)
        self.work = work
        self.inbox = Inbox(state, work.retention_ms)
        self.ready: deque[bytes] = deque()

    # --- records ---------------------------------------------------------------------------

    def read_waiting(self) -> None:
        """Read once whatever a former owner has left waiting, before anything is decided.

        Raises UnknownSchema and NewerProducer: this process may never have met their schemas, and
        an attempt that cannot read its event would fail as if the event were to blame.
        """
        if _READ in self.state.cache:
            return
        for key in self.state.keys(WAITING):
            stored = self.state.get(key)
            assert stored is not None, f"{key!r} waits and is not there"
            known(self.work.identify, self.batch, Kept.of_stored(stored))
        self.state.cache[_READ] = True

    def do_due(self, *, is_tick: bool) -> None:
        """Forget marks whose time is over, and try again what is due.

        While attempts are made alone, one at each tick, and none at other records.
        """
        due = self.due()
        is_alone = bool(due or is_tick) and self.is_alone
        may_try = is_tick or not is_alone
        for key, stored in due:
            if not self.inbox.forget(key) and may_try:
                self._attempt(Kept.of_stored(stored))
                may_try = not is_alone
        self._go_on()
        if is_tick and is_alone:
            self._end_alone()

    def take(self, record: Record, event: Event) -> None:
        """Work on a new event, or let it wait for its turn."""
        seen = self.inbox.seen(event)
        if seen is not None:
            self.count("WAKES" if self._wakes_again(event) else seen)
            return
        kept = Kept.of_record(record, event)
        waiting = offsets_of(self.state.get(kept.line))
        if not waiting:
            self._attempt(kept)
            self._go_on()
        elif len(waiting) >= LINE_MAX:
            self._bury(kept, LINE_FULL, f"{LINE_MAX} records of its key wait already")
        elif self._may_wait(kept):
            lines.keep(self.state, kept)
            self.count("WAITS")

    def take_answer(self, said: Said) -> None:
        """Take in what became of a call."""
        self._take_answer(said)
        self._go_on()

    def _take_answer(self, said: Said) -> None:
        intent = intent_of(self.state, said.intent_id)
        stored = self.state.get(waiting_key(said.line, said.offset))
        is_of_it = intent is not None and said.idempotency_key == intent.idempotency_key
        if intent is None or not is_of_it or intent.attempt != said.attempt or stored is None:
            self.count("STALE")
            return
        self._answered(Kept.of_stored(stored), intent, said.answer)

    # --- what nobody survived --------------------------------------------------------------

    def isolate(self, record: Record) -> bool:
        """Have attempts made alone from a record on; False where it may have killed alone.

        The record's own attempt was not alone where others were due at it, or had their turn
        because of it.
        """
        if self.is_alone:
            return False
        has_others = (record.key or b"").startswith(OURS) or self._first_due() is not None
        if has_others:
            self._stay_alone()
        return has_others

    def refuse_answer(self, said: Said) -> None:
        """Count an answer that nobody survived as a failed attempt, without a look into it."""
        unheard = Answer(result=Result.FAILED, detail="its answer could not be taken in")
        self._take_answer(said._replace(answer=unheard))
        self._postpone()
        self._stay_alone()

    def refuse_due(self) -> bool:
        """Count a failed attempt at what was due first; False where nothing was."""
        stored = self._first_due()
        if stored is not None:
            self._failed(Kept.of_stored(stored), _UNSURVIVED, None)
            self._postpone()
            self._stay_alone()
        return stored is not None

    def _first_due(self) -> bytes | None:
        return next((stored for key, stored in self.due() if key.startswith(WAITING)), None)

    @property
    def is_alone(self) -> bool:
        return self.state.get(ALONE) is not None

    def _stay_alone(self) -> None:
        # Until what killed is due again: so its next attempt is alone as well.
        until_ms = self.log_time_ms + self.work.patience.cap_ms + ALONE_MS
        self.state.put(ALONE, b"%d" % until_ms)

    def _end_alone(self) -> None:
        if self.log_time_ms >= int(self.state.get(ALONE) or 0):
            self.state.delete(ALONE)

    def _postpone(self) -> None:
        """Leave whose turn has come to the next record."""
        while self.ready:
            key = self.ready.popleft()
            stored = self.state.get(key)
            assert stored is not None, f"{key!r} waits and is not there"
            self.put(key, stored, max(1, self.log_time_ms))

    # --- attempts --------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self.ready and self.is_alone:
            self._postpone()
        while self.ready:
            stored = self.state.get(self.ready.popleft())
            assert stored is not None, "a record waits and is not there"
            self._attempt(Kept.of_stored(stored))

    def _attempt(self, kept: Kept) -> None:
        if kept.timer:
            self._wake(kept)
            return
        seen = self.inbox.seen(kept.event)
        if seen is not None:
            self.count(seen)
            self._leave_line(kept)
            return
        task = self._task(kept)
        if why := run(self.work.begin, task):
            self._failed(kept, why, None, hopeless=task.hopeless)
        elif task.asked is None:
            self._done(kept, task)
        elif self._may_wait(kept):
            self._write(task, kept)
            lines.keep(self.state, kept)
            open_intent(self.state, self._intent(kept, task))
            self.count("CALLS")

    def _wake(self, kept: Kept) -> None:
        """Have a timer's attempt made; it is put out by it, unless it is set again."""
        task = self._task(kept)
        why = run(self.work.woken, task)
        if not why and task.asked is not None:
            why = "calls from a timer"
        if why:
            self._failed(kept, why, None, hopeless=task.hopeless)
            return
        task.timers.setdefault(kept.timer, None)
        self._write(task, kept)
        self.count("WOKEN")

    def _answered(self, kept: Kept, intent: Intent, answer: Answer) -> None:
        if answer.result is Result.NOT_TRIED:
            # Nothing was attempted.
            pause_ms = max(answer.wait_ms, self.work.patience.first_ms)
            self._call_again(kept, intent, answer, pause_ms)
            self.count(answer.result)
            return
        why, hopeless = f"{answer.result}: {answer.detail}", ""
        if answer.result is Result.ANSWERED:
            # The same event may have been answered under another key meanwhile.
            if (seen := self.inbox.seen(kept.event)) is not None:
                self.count(seen)
                settle_intent(self.state, intent.id)
                self._leave_line(kept)
                return
            task = self._task(kept)
            why = run(self.work.answered, task, answer.payload)
            if not why:
                settle_intent(self.state, intent.id)
                self._done(kept, task)
                return
            hopeless = task.hopeless
        self._failed(kept, why, intent, answer, hopeless=hopeless)

    def _failed(
        self,
        kept: Kept,
        why: str,
        intent: Intent | None,
        answer: Answer | None = None,
        *,
        hopeless: str = "",
    ) -> None:
        """Take a failed attempt in.

        intent, answer: of the call that it made; None where it made none.
        hopeless:       why no later attempt could do it; empty where one could.
        """
        patience = self.work.patience
        kept = kept.after_failure(why, self.log_time_ms)
        if hopeless or kept.failed >= patience.attempts:
            if intent is not None:
                settle_intent(self.state, intent.id)
            self._give_up(kept, hopeless)
            return
        self.count("FAILED")
        pause_ms = patience.pause_ms(kept.failed)
        if intent is not None and answer is not None:
            self._call_again(kept, intent, answer, max(pause_ms, answer.wait_ms))
        elif self._may_wait(kept):
            lines.keep(self.state, kept, self.log_time_ms + pause_ms)

    def _call_again(self, kept: Kept, intent: Intent, answer: Answer, pause_ms: int) -> None:
        due_ms = self.log_time_ms + pause_ms
        open_intent(self.state, intent.again(due_ms, may_have_run=answer.may_have_run))
        lines.keep(self.state, kept)

    def _done(self, kept: Kept, task: Task) -> None:
        self._write(task, kept)
        self.inbox.mark(kept.event, self.log_time_ms)
        self.count("DONE")
        self._leave_line(kept)

    def _give_up(self, kept: Kept, hopeless: str) -> None:
        # What our rules do not allow is no fault of ours: who asks for it often stops nobody else.
        is_strangers = bool(hopeless)
        letter = kept.letter(
            hopeless or ATTEMPTS_EXHAUSTED, self.work.role, is_strangers=is_strangers
        )
        if self.work.is_critical:
            self.effects.dead_letters.append(letter)
        else:
            self.effects.given_up.append(letter)
            self.count("GIVEN_UP")
        if kept.timer:
            self._set_anew(kept)
            return
        if not self.work.is_critical:
            self.inbox.mark(kept.event, self.log_time_ms)
        self._leave_line(kept)

    def _bury(self, kept: Kept, reason: str, detail: str = "") -> None:
        self.effects.dead_letters.append(kept.letter(reason, self.work.role, detail))

    # --- what waits ------------------------------------------------------------------------

    def _may_wait(self, kept: Kept) -> bool:
        """Say whether a record can be stored; else it is a dead letter now."""
        if kept.size <= KEPT_BYTES_MAX:
            return True
        self._bury(kept, TOO_LARGE_TO_WAIT, f"{kept.size} bytes; {kept.last}".rstrip("; "))
        self._leave_line(kept)
        return False

    def _leave_line(self, kept: Kept) -> None:
        """Let the next of its key have its turn."""
        following = lines.leave(self.state, kept)
        if following is not None:
            self.ready.append(following)

    def _task(self, kept: Kept) -> Task:
        source = f"{self.batch.topic}:{self.batch.partition}"
        return Task(self.state, source, kept, self.work.role, self.log_time_ms)

    def _write(self, task: Task, kept: Kept) -> None:
        for timer, due_ms in task.timers.items():
            self._set(fresh(kept, timer, due_ms or 0), due_ms)
        for key, value in task.puts.items():
            if value is None:
                self.state.delete(key)
            else:
                self.state.put(key, value)
        for topic, outgoing in task.emitted:
            self.effects.to(topic).append(outgoing)

    def _set(self, kept: Kept, due_ms: int | None) -> None:
        """Set a timer, or put it out; whatever it was set to before."""
        was_set = lines.empty(self.state, kept.line)
        if due_ms is not None:
            self.state.put(kept.line, line_of([kept.offset]))
            self.put(kept.waiting, kept.stored(), due_ms)
        elif was_set:
            self.state.delete(kept.line)

    def _set_anew(self, kept: Kept) -> None:
        """Set a timer whose attempts have all failed, and note whose event wakes it sooner."""
        times = _LONGER_UNSURVIVED if kept.last == _UNSURVIVED else 1
        due_ms = self.log_time_ms + self.work.again_ms * times
        self._set(fresh(kept, kept.timer, due_ms), due_ms)
        names = {*self.inbox.noted(kept.event).split(), kept.line.removeprefix(LINE)}
        self.inbox.note(kept.event, b" ".join(sorted(names)), self.log_time_ms)

    def _wakes_again(self, event: Event) -> bool:
        """Have timers due whose dead letter this event is, as it was sent again."""
        names = self.inbox.noted(event).split()
        for name in names:
            for offset in offsets_of(self.state.get(LINE + name)):
                key = waiting_key(name.decode(), offset)
                stored = self.state.get(key)
                assert stored is not None, f"{key!r} waits and is not there"
                # Another event may have set it since.
                if Kept.of_stored(stored).event.id == event.id:
                    self.put(key, stored, max(1, self.log_time_ms))
        if names:
            self.inbox.note(event, b"", self.log_time_ms)
        return bool(names)

    def _intent(self, kept: Kept, task: Task) -> Intent:
        assert task.asked is not None
        # A key of the event, and not of the record: sent again after a dead letter, it makes the
        # destination do nothing that it has done.
        return Intent(
            id=f"{self.work.role}:{kept.place}",
            destination=task.asked.destination,
            idempotency_key=_idempotency_key(self.work.role, kept.event),
            payload=task.asked.payload,
            due_ms=self.log_time_ms,
            opened_ms=self.log_time_ms,
            call_ms=self.work.call_ms,
            trace=followed(kept.headers),
        )


def fresh(kept: Kept, timer: str, due_ms: int) -> Kept:
    """Return a record as it waits for a timer: nothing has failed yet."""
    unfailed = replace(kept, failed=0, first_ms=0, first="", last_ms=0, last="")
    return replace(unfailed, timer=timer, timer_ms=due_ms)


def _idempotency_key(role: str, event: Event) -> str:
    key = f"{role}:{event.id}"
    if len(key.encode()) <= ID_BYTES_MAX:
        return key
    # No role ends in `#`: nobody's event id is the hash of another's.
    return f"{role}#:{hashlib.blake2b(event.id.encode(), digest_size=16).hexdigest()}"
