"""A benchmark's line to Redis goes on where a pod's own would not have waited."""

import asyncio
from typing import Any

from benchmarks.measuring.redis_bench import PatientLine
from state.redis.line import NoAnswer


class Late:
    """A line on which nothing is heard so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    async def ask(self, *command: Any) -> Any:
        if self.times:
            self.times -= 1
            raise NoAnswer
        return command


def test_what_nobody_answered_in_time_is_asked_again_and_counted() -> None:
    late: Any = Late(2)
    line = PatientLine(late)
    assert asyncio.run(line.ask("GET", "x")) == ("GET", "x")
    assert line.unanswered == 2
