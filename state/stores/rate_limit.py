"""Rate limits in Redis, shared by all pods: exact sliding windows, decided by one Lua script.

A limit is a hint, never the truth: without an answer from Redis in time the request passes and is
counted as skipped. After a failure Redis is left alone for a while, so that a dead one costs a
request nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

SCRIPT: Final = (Path(__file__).parent / "lua" / "rate_limit.lua").read_text()
ANSWER_TIMEOUT_S: Final = 0.1
CONNECTIONS: Final = 16
REST_S: Final = (0.5, 5.0)
"""How long Redis is left alone after a failure: at first, and at most."""

log = logging.getLogger("seatstream.api")


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


class Breaker:
    """Lets one request in `rest` try a server that failed, and all of them one that answers."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._rest_s = 0.0
        self._closed_until_s = 0.0

    @property
    def is_broken(self) -> bool:
        return self._rest_s > 0

    def may_try(self) -> bool:
        if not self._rest_s:
            return True
        now_s = self._clock_s()
        if now_s < self._closed_until_s:
            return False
        # Whoever comes next is not let through while this one tries.
        self._closed_until_s = now_s + self._rest_s
        return True

    def failed(self) -> None:
        low_s, high_s = REST_S
        self._rest_s = min(max(2 * self._rest_s, low_s), high_s)
        self._closed_until_s = self._clock_s() + self._rest_s

    def succeeded(self) -> None:
        self._rest_s = 0.0


class RateLimits:
    """The limits of all requests at one Redis; connects to nothing before the first request.

    url: empty for no limits: then every request passes and is counted as skipped.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = ANSWER_TIMEOUT_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = connected(url, timeout_s) if url else None
        self._breaker = Breaker(clock_s)
        self._sha = ""
        self._allowed = 0
        self._refused = 0
        self._skipped = 0

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    def statistics(self) -> LimitStatistics:
        return LimitStatistics(self._allowed, self._refused, self._skipped)

    async def ask(
        self, keyed: Sequence[tuple[str, Limit | None]], now_ms: int = 0
    ) -> Refused | None:
        """Count a request by all its limits, or say which one refuses it; None: it may pass.

        keyed:  key and limit; one without a limit does not count.
        now_ms: Unix ms; 0 for the server's clock.
        """
        asked = [(index, key, limit) for index, (key, limit) in enumerate(keyed) if limit]
        if not asked:
            return None
        if self._redis is None or not self._breaker.may_try():
            self._skipped += 1
            return None
        keys = [key for _, key, _ in asked]
        numbers = [
            now_ms,
            *(number for _, _, limit in asked for number in (limit.count, limit.window_ms)),
        ]
        try:
            answer = await self._run(self._redis, keys, numbers)
        except (RedisError, OSError, TimeoutError) as error:
            if not self._breaker.is_broken:
                log.warning("rate limits are skipped: %s: %s", type(error).__name__, error)
            self._breaker.failed()
            self._skipped += 1
            return None
        if self._breaker.is_broken:
            log.warning("rate limits are counted again")
        self._breaker.succeeded()
        if answer == 0:
            self._allowed += 1
            return None
        self._refused += 1
        position, retry_ms = answer
        return Refused(asked[position - 1][0], retry_ms)

    async def _run(self, redis: Redis, keys: list[str], numbers: list[int]) -> Any:
        if self._sha:
            try:
                return await redis.evalsha(self._sha, len(keys), *keys, *numbers)
            except NoScriptError:
                # A restarted server has forgotten every script (F71).
                pass
        answer = await redis.eval(SCRIPT, len(keys), *keys, *numbers)
        self._sha = self._sha or _sha1(SCRIPT)
        return answer


def connected(url: str, timeout_s: float = ANSWER_TIMEOUT_S) -> Redis:
    """Return a client whose every step is bounded in time and that never tries twice."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def _sha1(text: str) -> str:
    # Redis names scripts by SHA-1; nothing is secured by it.
    return sha1(text.encode(), usedforsecurity=False).hexdigest()
