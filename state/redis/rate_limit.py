"""Rate limits in Redis, shared by all pods: exact sliding windows, decided by one Lua script.

A limit is advice, never the truth: where Redis does not answer, the request passes and is counted
as skipped. Where Redis answers, every request is counted, or told to come back: however many come
at once, none passes uncounted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from state.redis.line import NoAnswer, RedisLine
from state.redis.scripts import Script

_SCRIPT: Final = Script("rate_limit")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` requests in any `window_ms`, wherever it begins."""

    count: int
    window_ms: int

    def __str__(self) -> str:
        units = {1_000: "s", 60_000: "min", 3_600_000: "h"}
        return f"{self.count}/{units.get(self.window_ms, f'{self.window_ms} ms')}"


@dataclass(frozen=True, slots=True)
class Refused:
    """Which of the limits refuses, and when a request may pass again."""

    index: int
    retry_ms: int


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """Requests that passed, were refused, or passed because Redis gave no answer."""

    allowed: int
    refused: int
    skipped: int


class RateLimits:
    """The limits of all requests at one Redis; connects to nothing before the first request.

    url: empty for no limits: then every request passes and is counted as skipped.
    """

    def __init__(self, url: str, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._line = (
            RedisLine(url, "without it rate limits are skipped", clock_s=clock_s) if url else None
        )
        self._allowed = 0
        self._refused = 0
        self._skipped = 0

    async def close(self) -> None:
        if self._line is not None:
            await self._line.close()

    def statistics(self) -> LimitStatistics:
        return LimitStatistics(self._allowed, self._refused, self._skipped)

    async def ask(
        self, keyed: Sequence[tuple[str, Limit | None]], now_ms: int = 0
    ) -> Refused | None:
        """Count a request by all its limits, or say which one refuses it; None: it may pass.

        Raises TooManyAsk where Redis answers, but not as fast as is asked.
        keyed:  key and limit; one without a limit does not count.
        now_ms: Unix ms; 0 for the server's clock.
        """
        asked = [(index, key, limit) for index, (key, limit) in enumerate(keyed) if limit]
        if not asked:
            return None
        numbers = [
            now_ms,
            *(number for _, _, limit in asked for number in (limit.count, limit.window_ms)),
        ]
        try:
            answer = await self._run([key for _, key, _ in asked], numbers)
        except (NoAnswer, ResponseError):
            # An error that concerns these keys alone lets nobody else through.
            self._skipped += 1
            return None
        if answer == 0:
            self._allowed += 1
            return None
        self._refused += 1
        position, retry_ms = answer
        return Refused(asked[position - 1][0], retry_ms)

    async def _run(self, keys: list[str], numbers: list[int]) -> Any:
        if self._line is None:
            raise NoAnswer
        return await _SCRIPT.run(self._line.ask, keys, numbers)
