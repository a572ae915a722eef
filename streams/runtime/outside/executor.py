"""Performs the open intents of the partitions that this worker owns, and appends the answers.

    committed -> due -> called -> answer appended -> folded: settled, or the next attempt

The store is the queue: an intent is performed once its transaction is committed, and until another
transaction settles it. What follows from a crash depends on where the worker died:

- before the commit: the batch is decided again; nothing was called;
- before the call: the next owner finds the intent in its restored state, and calls;
- in the call, or before its answer is appended: the next owner calls again, with the same
  idempotency key;
- after its answer is appended: the next owner performs nothing before it has folded the log to
  where it ended at the take-over, so it meets that answer first;
- after its answer is applied: the restored state has no such intent any more;
- while an append is not acknowledged: the answer may be in the log twice;
- paused past its ownership: the answer of a zombie is one more answer, to the open attempt with
  the same key, or stale.

So a destination is called at least once for each attempt, always with one idempotency key, and the
handler applies one answer. After a changelog was lost, the fold of all history calls no
destination for an intent that history has settled.

When a partition is set aside, revoked or closed, its calls are cancelled. When the worker is asked
to leave, calls under way get a bounded time first.

Each destination of a route has a limit of its own for its calls, so that no destination waits for
another. Partitions take turns. Intents whose call has not begun stay in the store.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from infra.process.log_lines import current
from infra.process.record_ids import correlation_in
from serdes.wire import VALUE_BYTES_MAX
from state.stores.partition_state import Changes, last_of
from streams.intents import DETAIL_MAX, INTENT, Answer, Intent, NotDone, Result, changed_intents
from streams.route import OTHERS, Route
from streams.runtime.outside.answers import AnswerLog, AnswerTooLarge
from streams.runtime.outside.breaker import Phase, Rules
from streams.runtime.outside.bulkhead import Bulkhead, Call
from streams.runtime.outside.outbox import Outbox, Survey, UnreadableIntent, survey
from streams.runtime.ownership.positions import Place
from streams.runtime.ownership.troubles import STORE_ERRORS, trouble_of
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.process.observer import Observer
from streams.runtime.transactions.input_partition import InputPartition
from streams.settings import Settings

_LONGEST_WAIT_MS: Final = 1_000
"""Longest time between two looks at what is due: the wall clock may jump in between."""

_CANCELLED_S: Final = 5.0
"""How long the executor waits for a cancelled call, or for `Route.close`, to end."""

_SURVEY_S: Final = 5.0
_SURVEY_SHARE: Final = 50
"""Each store is looked through every 5 s, for the metrics, but at most a fiftieth of the time."""

_NOTHING_DONE: Final = frozenset({Result.NOT_TRIED, Result.NOT_DONE})

_SURVEY_THREADS: Final = 2
"""Threads of the surveys' own, since other work in the loop's threads may block for minutes."""


class Untold(Exception):
    """A route's `answer` did not make a record of an intent's answer.

    Operator action: if the log has this once for an intent, none: its handler has heard FAILED. If
    it has it twice, the intent stays open and counts as stranded. Ask its destination what became
    of the intent, and report the exception, since the code of the route is wrong.
    """


class LastFound(NamedTuple):
    """What was open in a partition when it was looked through last.

    untold: as `Outbox.untold`.
    """

    route: Route
    found: Survey
    untold: Mapping[str, str]


class IntentExecutor:
    """Performs the intents of all partitions that have joined; lives as long as the worker."""

    def __init__(
        self,
        settings: Settings,
        routes: Sequence[Route],
        answers: AnswerLog,
        observer: Observer,
        *,
        reached: Callable[[str], None],
        in_trouble: Callable[[InputPartition, PartitionTrouble], None],
        now_ms: Callable[[], int],
    ) -> None:
        """Prepare to perform.

        reached:    called at each step where a test may stop the worker.
        in_trouble: called with a partition that must be set aside, and why. now_ms: the wall
                    clock.
        """
        self._answers = answers
        self._observer = observer
        self._reached = reached
        self._in_trouble = in_trouble
        self._now_ms = now_ms
        rules = Rules(settings.circuit_failures, settings.circuit_open_ms, settings.circuit_probes)
        self._routes = routes
        self._bulkheads = [
            Bulkhead(route, destination, _share(settings, route, destination), rules)
            for route in routes
            for destination in sorted(route.performers)
        ]
        self._end_s = settings.calls_end_s
        self._boxes: dict[InputPartition, Outbox] = {}
        # Of our partitions that do not run now.
        self._left: dict[Place, LastFound] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._shown: dict[str, Phase] = {}
        self._stranded: set[str] = set()
        self._show_again_s = 0.0
        self._threads = ThreadPoolExecutor(_SURVEY_THREADS, thread_name_prefix="open-intents")
        self._tasks: dict[Outbox, set[asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._is_leaving = False

    # --- the worker's life -----------------------------------------------------------------

    def start(self) -> list[asyncio.Task[None]]:
        """Begin; return the tasks that must not end before `stop`. Without performers: none."""
        if not self._bulkheads:
            return []
        for bulkhead in self._bulkheads:
            self._show_circuit(bulkhead)
        self._running = asyncio.create_task(self._run(), name="intents")
        return [self._running]

    async def drain(self) -> None:
        """Begin no further call, and wait for a bounded time for the calls under way."""
        self._is_leaving = True
        if self._calls:
            self._observer.log.info("leaving: %d calls are under way", len(self._calls))
            await asyncio.wait(set(self._calls), timeout=self._end_s)

    async def stop(self) -> None:
        """End everything. Intents without an answer are left to the next owners."""
        self._is_leaving = True
        for partition in list(self._boxes):
            self.pause(partition)
        for partition in list(self._boxes):
            await self.leave(partition)
        self._threads.shutdown(wait=False)
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
            self._running = None
        await self._answers.stop()
        await self._close_performers()

    # --- partitions ------------------------------------------------------------------------

    def assigned(self, places: Sequence[Place]) -> None:
        """Take in which partitions are ours from now on: of others their new owners tell."""
        for place in self._left.keys() - places:
            del self._left[place]
        self._show()

    def join(self, partition: InputPartition) -> None:
        """Perform the open intents of a running partition, once its log is folded.

        If its route has no performers (any more), only look through its store once.
        """
        if partition in self._boxes:
            return
        box = self._boxes[partition] = Outbox(partition)
        left = self._left.pop((partition.topic, partition.number), None)
        if left is not None:
            # Shown until the store is looked through.
            box.found = left.found
        self._tasks[box] = set()
        for bulkhead in self._bulkheads_of(partition):
            bulkhead.join(box)
        looking = asyncio.create_task(
            self._survey_again_and_again(box), name=f"open intents of {partition.place}"
        )
        self._tasks[box].add(looking)
        looking.add_done_callback(self._tasks[box].discard)
        looking.add_done_callback(partial(self._look_at, box))

    def pause(self, partition: InputPartition) -> None:
        """Stop at once to perform the intents of a partition, which runs no more."""
        box = self._boxes.get(partition)
        if box is None or box.is_closed:
            return
        box.is_closed = True
        # Counted from now on, so that partitions which are given up together wait together.
        box.patience_until_s = time.monotonic() + _CANCELLED_S
        for bulkhead in self._bulkheads_of(partition):
            bulkhead.leave(box)
        for task in self._tasks[box]:
            task.cancel()

    async def leave(self, partition: InputPartition) -> None:
        """Stop as `pause` does; return when nothing uses the partition's store any more."""
        self.pause(partition)
        box = self._boxes.pop(partition, None)
        if box is None:
            return
        # An intent is no less open because nobody can look at it: so it is shown on.
        place = partition.topic, partition.number
        self._left[place] = LastFound(partition.route, box.found, dict(box.untold))
        tasks = self._tasks.pop(box)
        if tasks:
            patience_s = max(0.0, box.patience_until_s - time.monotonic())
            _, left = await asyncio.wait(tasks, timeout=patience_s)
            for task in left:
                self._observer.log.error(
                    "%s goes on though it was cancelled: its performer ignores that",
                    task.get_name(),
                )
        # A call that goes on uses no store, but a survey does. So the store must not be closed
        # before the survey ends, however long the disk takes.
        if box.surveying is not None:
            await asyncio.wait({box.surveying})
        self._show()

    def committed(self, partition: InputPartition, changes: Changes) -> None:
        """Take in the intents that a batch opened or settled, now that the store has them."""
        if not partition.route.performers:
            return
        box = self._boxes.get(partition)
        if box is None or box.is_closed:
            return
        waited = not box.has_caught_up
        intents = list(changed_intents(last_of(changes, INTENT, partition.state.seed)))
        if any(intent is not None for _, intent in intents):
            self._reached("intents_committed")
        if any(intent is None for _, intent in intents):
            self._reached("intents_settled")
        box.changed(intents)
        if intents or (waited and box.has_caught_up):
            self._wake.set()

    # --- inside ----------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wait_s = 1.0 if self._is_leaving else self._begin_what_is_due()
            if self._left and time.monotonic() > self._show_again_s:
                # What is set aside is looked through by nobody, and grows old.
                self._show()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    def _begin_what_is_due(self) -> float:
        """Begin as many due calls as may be; return the seconds until to look again."""
        now_ms = self._now_ms()
        soonest_ms = now_ms + _LONGEST_WAIT_MS
        for box in self._boxes.values():
            box.look_how_far()
        for bulkhead in self._bulkheads:
            while (call := self._next(bulkhead, now_ms)) is not None:
                self._begin(call)
            self._show_circuit(bulkhead)
            if (due_ms := bulkhead.next_due_ms()) is not None and due_ms > now_ms:
                soonest_ms = min(soonest_ms, due_ms)
        for box in self._boxes.values():
            if box.is_low:
                box.wants_survey.set()
        return (soonest_ms - now_ms) / 1000

    def _next(self, bulkhead: Bulkhead, now_ms: int) -> Call | None:
        try:
            return bulkhead.next(now_ms, _monotonic_ms())
        except UnreadableIntent as error:
            self._set_aside(error.partition, error.cause)
            return None

    def _begin(self, call: Call) -> None:
        bulkhead = call.bulkhead
        bulkhead.under_way += 1
        work = self._perform(call) if call.period is not None else self._leave_alone(call)
        # Whatever is logged in the call carries the ids of what it is made for.
        context = contextvars.copy_context()
        context.run(current.set, correlation_in(call.intent.trace))
        task = asyncio.create_task(work, name=f"intent {call.intent.id}", context=context)
        self._calls.add(task)
        tasks = self._tasks[call.box]
        tasks.add(task)

        # A callback runs however the task ends, even if it is cancelled before its first step.
        def ended(_: asyncio.Task[None]) -> None:
            self._calls.discard(task)
            tasks.discard(task)
            bulkhead.under_way -= 1
            if call.period is not None and not call.is_judged:
                bulkhead.breaker.given_up(call.period)
            self._wake.set()
            self._look_at(call.box, task)

        task.add_done_callback(ended)

    def _look_at(self, box: Outbox, task: asyncio.Task[None]) -> None:
        """Set the partition aside if a task of it failed by an error of ours."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._observer.log.error("%s failed", task.get_name(), exc_info=error)
            if not box.is_closed:
                self._set_aside(box.partition, error)

    def _set_aside(self, partition: InputPartition, error: BaseException) -> None:
        self.pause(partition)
        if isinstance(error, STORE_ERRORS):
            trouble = trouble_of(error)
        else:
            message = f"an intent of {partition.place} cannot be performed: {error!r}"
            trouble = PartitionTrouble(message, "handler")
        self._in_trouble(partition, trouble)

    async def _perform(self, call: Call) -> None:
        """Make a call, and append its answer."""
        intent, bulkhead = call.intent, call.bulkhead
        assert call.period is not None
        if not self._can_be_told(call):
            return
        self._reached("call_begun")
        began = time.perf_counter()
        result, payload, detail, wait_ms = Result.ANSWERED, b"", "", 0
        limit_s = intent.call_ms / 1000
        limit = asyncio.timeout(limit_s)
        overrun = asyncio.get_running_loop().call_later(
            limit_s + _CANCELLED_S, self._overruns, call
        )
        try:
            async with limit:
                payload = await bulkhead.performer(intent)
        except asyncio.CancelledError:
            if call.box.is_closed:
                raise
            result, detail = Result.FAILED, "cancelled by the performer"
        except NotDone as error:
            result, detail, wait_ms = Result.NOT_DONE, said(error), error.wait_ms
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  (whatever it is, the handler hears of it)
            # Also of an exit: at every owner the same call would else end the worker again.
            if isinstance(error, TimeoutError) and limit.expired():
                result, detail = Result.TIMED_OUT, f"no answer within {intent.call_ms} ms"
            else:
                result, detail = Result.FAILED, said(error)
        finally:
            overrun.cancel()
        self._judge(call, is_well=result is Result.ANSWERED)
        self._observer.called(bulkhead.destination, result, time.perf_counter() - began)
        self._reached("call_answered")
        await self._tell(
            call, Answer(result=result, payload=payload, detail=detail, wait_ms=wait_ms)
        )

    def _overruns(self, call: Call) -> None:
        """Count a call that goes on though it was cancelled as failed, so no circuit waits for it.

        Until the call ends it takes its place in the bulkhead, and its intent stays open.
        """
        self._observer.log.error(
            "%s: the call of intent %s goes on though its time is over and it was cancelled. It "
            "counts as failed, and takes a place of its destination until it ends",
            call.bulkhead.destination,
            call.intent.id,
        )
        self._judge(call, is_well=False)
        self._wake.set()

    def _judge(self, call: Call, *, is_well: bool) -> None:
        """Tell the circuit, once, how a call ended."""
        assert call.period is not None
        if call.is_judged:
            return
        call.is_judged = True
        if is_well:
            call.bulkhead.breaker.succeeded(call.period)
        else:
            call.bulkhead.breaker.failed(call.period, _monotonic_ms())
        self._show_circuit(call.bulkhead)

    async def _leave_alone(self, call: Call) -> None:
        """Append the answer that no call is made while the circuit is open."""
        wait_ms = max(0, call.bulkhead.breaker.reopens_ms - _monotonic_ms())
        self._observer.called(call.bulkhead.destination, Result.NOT_TRIED, None)
        detail = f"{call.bulkhead.destination} failed too often, and is left alone"
        await self._tell(call, Answer(result=Result.NOT_TRIED, detail=detail, wait_ms=wait_ms))

    def _can_be_told(self, call: Call) -> bool:
        """Say whether an answer to an intent can be told. If not, nobody is called for it.

        Else its destination would be called once at every take-over, and nobody hear of it.
        """
        try:
            _record_of(call.box.partition.route, call.intent, Answer(result=Result.FAILED))
        except (AnswerTooLarge, Untold) as error:
            self._strand(call, error, "No call is made for it")
            return False
        return True

    async def _tell(self, call: Call, answer: Answer) -> None:
        may_have_run = (
            answer.result not in _NOTHING_DONE
            or call.intent.may_have_run
            or not call.entry.is_fresh
        )
        answer = replace(answer, detail=answer.detail[:DETAIL_MAX], may_have_run=may_have_run)
        try:
            await self._append(call, answer)
        except (AnswerTooLarge, Untold) as error:
            self._observer.log.error("%s: %s", call.box.partition.place, error)  # noqa: TRY400
            failed = replace(
                answer, result=Result.FAILED, payload=b"", detail=said(error)[:DETAIL_MAX]
            )
            await self._append_if_it_can_be_told(call, failed)

    async def _append_if_it_can_be_told(self, call: Call, failed: Answer) -> None:
        """Append a failure. If that fails too, log it: no other intent is concerned."""
        try:
            await self._append(call, failed)
        except (AnswerTooLarge, Untold) as error:
            is_called = call.period is not None
            what = f"ask {call.intent.destination} what became of its call"
            self._strand(call, error, what if is_called else "No call was made for it")

    def _strand(self, call: Call, error: Exception, what: str) -> None:
        """Show an intent that stays open, because nobody can be told of it."""
        call.box.untold[call.intent.id] = call.bulkhead.destination
        self._observer.log.error(
            "%s: %s. The intent stays open, and its handler is told nothing: mend `answer` of its "
            "route. %s",
            call.box.partition.place,
            error,
            what,
        )
        self._show()

    async def _append(self, call: Call, answer: Answer) -> None:
        partition = call.box.partition
        if call.box.is_closed:
            return
        key, value = _record_of(partition.route, call.intent, answer)
        offset = await self._answers.append(
            partition.topic, partition.number, key, value, call.intent.trace
        )
        call.box.answered(call.bulkhead.destination, offset)
        self._reached("answer_appended")

    async def _survey_again_and_again(self, box: Outbox) -> None:
        while True:
            began = time.monotonic()
            await self._survey(box)
            self._name_stranded(box)
            self._show()
            self._wake.set()
            if not box.partition.route.performers:
                return
            pause_s = max(_SURVEY_S, _SURVEY_SHARE * (time.monotonic() - began))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await box.wants_survey.wait()

    async def _survey(self, box: Outbox) -> None:
        store = box.partition.state.store
        under_way = box.begin_survey()
        called_as = box.partition.route.called_as

        def look() -> Survey:
            # This may have waited for a thread, and the store may be closed by now.
            if box.is_closed:
                return Survey()
            items, is_over = store.items(INTENT), lambda: box.is_closed
            return survey(items, store.seed, is_over, under_way, called_as)

        job = self._threads.submit(look)
        box.surveying = asyncio.wrap_future(job)
        try:
            found = await asyncio.shield(box.surveying)
        except asyncio.CancelledError:
            # A survey that has not begun must not begin: `leave` returns, and the store is closed.
            job.cancel()
            raise
        box.end_survey(found)
        # Cleared last: the survey has found what was wanted while it ran.
        box.wants_survey.clear()

    def _name_stranded(self, box: Outbox) -> None:
        """Log the destinations whose open intents nobody performs, each once for a partition."""
        performers = box.partition.route.performers
        for destination in box.found.open.keys() - performers.keys() - box.named:
            box.named.add(destination)
            self._observer.log.error(
                "%s: %d open intents are for %r, which is none of its performers: %s. Nobody "
                "performs them. Give the route that performer, or have its handler settle them",
                box.partition.place,
                box.found.open[destination],
                destination,
                ", ".join(sorted(performers)) or "none",
            )

    def _show(self) -> None:
        self._show_again_s = time.monotonic() + _SURVEY_S
        running = [
            LastFound(box.partition.route, box.found, box.untold) for box in self._boxes.values()
        ]
        known = [*running, *self._left.values()]
        oldest_ms = min([one.found.oldest_ms for one in known if one.found.oldest_ms], default=0)
        self._observer.open_intents(
            {
                bulkhead.destination: sum(
                    one.found.open.get(bulkhead.destination, 0) for one in known
                )
                for bulkhead in self._bulkheads
            },
            max(0, self._now_ms() - oldest_ms) / 1000 if oldest_ms else 0.0,
        )
        stranded: dict[str, int] = dict.fromkeys(self._stranded, 0)
        for route, found, untold in known:
            for destination in found.open.keys() - route.performers.keys():
                stranded[destination] = stranded.get(destination, 0) + found.open[destination]
            for destination in untold.values():
                stranded[destination] = stranded.get(destination, 0) + 1
        self._stranded.update(stranded)
        self._observer.stranded_intents(stranded)

    async def _close_performers(self) -> None:
        """Close the performers of all routes, in a bounded time: a worker must be able to end."""
        closing = {
            asyncio.create_task(_closed(route), name=f"performers of {route.source}")
            for route in self._routes
            if route.close is not None
        }
        if not closing:
            return
        done, left = await asyncio.wait(closing, timeout=_CANCELLED_S)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=0)
        for task in left | {one for one in done if one.cancelled() or one.exception()}:
            error = task.exception() if task.done() and not task.cancelled() else None
            self._observer.log.error("%s do not close", task.get_name(), exc_info=error)

    def _show_circuit(self, bulkhead: Bulkhead) -> None:
        # Destinations of several routes may have the same name. The metric shows the worst phase.
        phase = max(
            (
                one.breaker.phase
                for one in self._bulkheads
                if one.destination == bulkhead.destination
            ),
            key=lambda one: one.value,
        )
        if self._shown.get(bulkhead.destination) is not phase:
            self._shown[bulkhead.destination] = phase
            self._observer.circuit(bulkhead.destination, phase.name, phase.value)

    def _bulkheads_of(self, partition: InputPartition) -> list[Bulkhead]:
        return [bulkhead for bulkhead in self._bulkheads if bulkhead.route is partition.route]


def said(error: BaseException) -> str:
    """Return the text of an error, in a form that can surely be encoded."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  (an error whose own text fails)
        text = type(error).__name__
    return text.encode(errors="replace").decode()


def _record_of(route: Route, intent: Intent, answer: Answer) -> tuple[bytes | None, bytes]:
    """Return key and value of the record of an answer.

    Raises Untold where the route makes none, AnswerTooLarge where no reader would take the record.
    """
    assert route.answer is not None
    try:
        key, value = route.answer(intent, answer)
        # A key or value that is not of bytes raises here.
        size = max(len(b"" + (key or b"")), len(b"" + value))
    except Exception as error:
        message = f"the answer to intent {intent.id} cannot be told: {said(error)}"
        raise Untold(message) from error
    if size > VALUE_BYTES_MAX:
        message = (
            f"the answer to intent {intent.id} takes {size} bytes, the limit is {VALUE_BYTES_MAX}"
        )
        raise AnswerTooLarge(message)
    return key, value


async def _closed(route: Route) -> None:
    assert route.close is not None
    await route.close()


def _share(settings: Settings, route: Route, destination: str) -> int:
    """Return how many calls a destination may have under way: never the share of another.

    Other destinations have what the named ones leave: where there is nobody to call, as for
    payments, they need no more.
    """
    named = len(route.performers.keys() - {OTHERS})
    share = min(settings.calls_per_destination, settings.calls // max(1, named))
    if destination == OTHERS:
        share = min(settings.calls_per_destination, settings.calls - named * share)
    return max(1, share)


def _monotonic_ms() -> int:
    return int(time.monotonic() * 1000)
