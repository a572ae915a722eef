"""The same work in a few processes of their own, which begin together."""

import asyncio
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

from benchmarks.measuring.cluster import BenchmarkFailed

BEGIN_S: Final = 120.0

Value = TypeVar("Value")

_barrier: Any = None


def _join(barrier: Any) -> None:
    global _barrier  # noqa: PLW0603  (a barrier is handed to a process at its start alone)
    _barrier = barrier


def _begun(work: Callable[..., Value], arguments: tuple[Any, ...]) -> Value:
    _barrier.wait(BEGIN_S)
    return work(*arguments)


async def side_by_side(
    work: Callable[..., Value], each: Sequence[tuple[Any, ...]], limit_s: float
) -> list[Value]:
    """Return what a function of a module gives for each arguments, a process for each of them.

    Raises BenchmarkFailed where not all have ended after `limit_s`, or a process has died.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(each))
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(len(each), context, _join, (barrier,)) as pool:
        works = [loop.run_in_executor(pool, _begun, work, arguments) for arguments in each]
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.gather(*works)
        except BrokenProcessPool as error:
            raise BenchmarkFailed("a process of the crowd has died") from error
        except TimeoutError as error:
            for process in multiprocessing.active_children():
                process.terminate()
            raise BenchmarkFailed("the crowd has not ended in time") from error
