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
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from infra.process.breaker import Rules
from infra.process.log_lines import current
from infra.process.record_ids import correlation_in
from state.stores.partition_state import Changes, last_of
from streams.intents import INTENT, changed_intents
from streams.route import OTHERS, Route
from streams.runtime.outside.answers import AnswerLog
from streams.runtime.outside.bulkhead import Bulkhead, Call
from streams.runtime.outside.calling import CANCELLED_S, Calling, monotonic_ms
from streams.runtime.outside.looking import Looking
from streams.runtime.outside.outbox import Outbox, UnreadableIntent
from streams.runtime.outside.telling import Telling
from streams.runtime.ownership.positions import Place
from streams.runtime.ownership.troubles import STORE_ERRORS, trouble_of
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.process.observer import Observer
from streams.runtime.transactions.input_partition import InputPartition
from streams.settings import Settings

_LONGEST_WAIT_MS: Final = 1_000
"""Longest time between two looks at what is due: the wall clock may jump in between."""


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
        self._calls: set[asyncio.Task[None]] = set()
        self._tasks: dict[Outbox, set[asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        destinations = [bulkhead.destination for bulkhead in self._bulkheads]
        self._looking = Looking(
            self._boxes, destinations, observer, now_ms=now_ms, found=self._wake.set
        )
        telling = Telling(answers, observer, reached=reached, stranded=self._looking.show)
        self._calling = Calling(
            self._bulkheads, telling, observer, reached=reached, wake=self._wake.set
        )
        self._running: asyncio.Task[None] | None = None
        self._is_leaving = False

    # --- the worker's life -----------------------------------------------------------------

    def start(self) -> list[asyncio.Task[None]]:
        """Begin; return the tasks that must not end before `stop`. Without performers: none."""
        if not self._bulkheads:
            return []
        for bulkhead in self._bulkheads:
            self._calling.show_circuit(bulkhead)
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
        self._looking.stop()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
            self._running = None
        await self._answers.stop()
        await self._close_performers()

    # --- partitions ------------------------------------------------------------------------

    def assigned(self, places: Sequence[Place]) -> None:
        """Take in which partitions are ours from now on: of others their new owners tell."""
        self._looking.assigned(places)

    def join(self, partition: InputPartition) -> None:
        """Perform the open intents of a running partition, once its log is folded.

        If its route has no performers (any more), only look through its store once.
        """
        if partition in self._boxes:
            return
        box = self._boxes[partition] = Outbox(partition)
        self._looking.joined(box)
        self._tasks[box] = set()
        for bulkhead in self._bulkheads_of(partition):
            bulkhead.join(box)
        looking = asyncio.create_task(
            self._looking.again_and_again(box), name=f"open intents of {partition.place}"
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
        box.patience_until_s = time.monotonic() + CANCELLED_S
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
        self._looking.left(box)
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
        self._looking.show()

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
        if box.changed(intents):
            self._looking.show()
        if intents or (waited and box.has_caught_up):
            self._wake.set()

    def left_alone(self, source: str) -> dict[str, int]:
        """Return which destinations of the route of a topic are not called now: ms by the name."""
        now_ms = monotonic_ms()
        left = {
            bulkhead.destination: bulkhead.breaker.left_ms(now_ms)
            for bulkhead in self._bulkheads
            if bulkhead.route.source == source
        }
        return {destination: left_ms for destination, left_ms in left.items() if left_ms}

    # --- inside ----------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wait_s = 1.0 if self._is_leaving else self._begin_what_is_due()
            self._looking.show_what_grows_old()
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
            self._calling.show_circuit(bulkhead)
            if (due_ms := bulkhead.next_due_ms()) is not None and due_ms > now_ms:
                soonest_ms = min(soonest_ms, due_ms)
        for box in self._boxes.values():
            if box.is_low:
                box.wants_survey.set()
        return (soonest_ms - now_ms) / 1000

    def _next(self, bulkhead: Bulkhead, now_ms: int) -> Call | None:
        try:
            return bulkhead.next(now_ms, monotonic_ms())
        except UnreadableIntent as error:
            self._set_aside(error.partition, error.cause)
            return None

    def _begin(self, call: Call) -> None:
        bulkhead = call.bulkhead
        bulkhead.under_way += 1
        is_made = call.period is not None
        work = self._calling.perform(call) if is_made else self._calling.leave_alone(call)
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

    async def _close_performers(self) -> None:
        """Close the performers of all routes, in a bounded time: a worker must be able to end."""
        closing = {
            asyncio.create_task(_closed(route), name=f"performers of {route.source}")
            for route in self._routes
            if route.close is not None
        }
        if not closing:
            return
        done, left = await asyncio.wait(closing, timeout=CANCELLED_S)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=0)
        for task in left | {one for one in done if one.cancelled() or one.exception()}:
            error = task.exception() if task.done() and not task.cancelled() else None
            self._observer.log.error("%s do not close", task.get_name(), exc_info=error)

    def _bulkheads_of(self, partition: InputPartition) -> list[Bulkhead]:
        return [bulkhead for bulkhead in self._bulkheads if bulkhead.route is partition.route]


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
