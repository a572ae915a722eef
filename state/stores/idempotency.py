"""Which body came first under an idempotency key, shared by all pods through Redis for a day.

The log itself keeps one answer for one reservation id. What it cannot see is the same key with
another section, whose id lives on another partition; that is what is remembered here. A hint and
never the truth: without an answer from Redis in time the caller goes on without it.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from state.stores.rate_limit import ANSWER_TIMEOUT_S, Breaker, connected
from state.stores.redis_keys import idempotency

LIFETIME_S: Final = 86_400


class Claim(Enum):
    """What is known of a ticket.

    FIRST:   nobody used it within a day, and now this body has it.
    SAME:    the same body came before.
    OTHER:   another body came before.
    UNKNOWN: Redis does not say.
    """

    FIRST = "first"
    SAME = "same"
    OTHER = "other"
    UNKNOWN = "unknown"


def digest_of(body: Mapping[str, Any]) -> str:
    """Return the digest of a request that does not depend on how its JSON was written."""
    return sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


class IdempotencyKeys:
    """Tickets at one Redis; connects to nothing before the first one.

    url:     empty for none; then every claim is UNKNOWN.
    unknown: claims that Redis did not answer.
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
        self.unknown = 0

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    async def claim(self, ticket: str, digest: str) -> Claim:
        """Take a ticket for a body, or say whose it is."""
        # In one step, so that of two pods exactly one is the first.
        former = await self._ask(
            lambda redis: redis.set(idempotency(ticket), digest, nx=True, get=True, ex=LIFETIME_S)
        )
        if former is _NO_ANSWER:
            self.unknown += 1
            return Claim.UNKNOWN
        if former is None:
            return Claim.FIRST
        return Claim.SAME if former == digest.encode() else Claim.OTHER

    async def give_back(self, ticket: str) -> None:
        """Forget a ticket whose request was refused before it was sent."""
        await self._ask(lambda redis: redis.delete(idempotency(ticket)))

    async def _ask(self, ask: Callable[[Redis], Awaitable[Any]]) -> Any:
        if self._redis is None or not self._breaker.may_try():
            return _NO_ANSWER
        try:
            answer = await ask(self._redis)
        except (RedisError, OSError, TimeoutError):
            self._breaker.failed()
            return _NO_ANSWER
        self._breaker.succeeded()
        return answer


_NO_ANSWER: Final = object()
