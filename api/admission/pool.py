"""A fixed number of members that do jobs; who offers one more than may wait does it itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from api.web.logs import log

QUEUED_MAX: Final = 100
WARNED_PERCENT: Final = 80
DRAIN_S: Final = 30.0

Job = Callable[[], Awaitable[Any]]


class Pool:
    """Members at work from the first job on.

    name:       of what they do, for the log.
    members:    jobs under way at once, beside those that callers do.
    queued_max: jobs that wait for a member.
    done_by_callers: jobs that found no room.
    """

    def __init__(self, name: str, members: int, queued_max: int = QUEUED_MAX) -> None:
        self._name = name
        self._members = members
        self._queue: asyncio.Queue[tuple[Job, asyncio.Future[Any]]] = asyncio.Queue(queued_max)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_warned = False
        self.done_by_callers = 0

    @property
    def queued(self) -> int:
        return self._queue.qsize()

    async def do_all(self, jobs: Sequence[Job]) -> list[Any]:
        """Return what came of each job, in their order: its result, or the error that ended it.

        One job's error ends no other.
        """
        ends = [await self._offer(job) for job in jobs]
        return await asyncio.gather(*ends, return_exceptions=True)

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """End the members once what was taken is done, and after `drain_s` in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._queue.join()
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait()[1].cancel()
            self._queue.task_done()

    async def _offer(self, job: Job) -> "asyncio.Future[Any]":
        end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._queue.full():
            self.done_by_callers += 1
            await _do(job, end)
            return end
        self._queue.put_nowait((job, end))
        self._warn()
        self._tasks = {task for task in self._tasks if not task.done()}
        # A member that has ended, whatever ended it, is replaced.
        for _ in range(len(self._tasks), min(self._members, self._queue.qsize())):
            self._tasks.add(asyncio.create_task(self._work(), name=f"pool: {self._name}"))
        return end

    def _warn(self) -> None:
        is_near = 100 * self._queue.qsize() >= WARNED_PERCENT * self._queue.maxsize
        if is_near and not self._is_warned:
            log.warning("%s: %d jobs wait for %d members", self._name, self.queued, self._members)
        self._is_warned = is_near

    async def _work(self) -> None:
        while True:
            job, end = await self._queue.get()
            try:
                await _do(job, end)
            finally:
                self._queue.task_done()


async def _do(job: Job, end: "asyncio.Future[Any]") -> None:
    try:
        result = await job()
    except asyncio.CancelledError:
        # The member ends, and not its caller.
        end.cancel()
        raise
    except Exception as error:  # noqa: BLE001  (whoever waits for the job is told)
        end.set_exception(error)
    else:
        if not end.done():
            end.set_result(result)
