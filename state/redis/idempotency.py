"""Which body came first under an idempotency key, shared by all pods through Redis for a day.

The log itself keeps one answer for one reservation id. What it cannot see is the same key with
another section, whose id lives on another partition; that is what is remembered here. It is
advice, never the truth: where Redis does not answer the caller goes on without it.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from hashlib import sha256
from typing import Any, Final

import orjson
from redis.exceptions import ResponseError

from state.redis.keys import idempotency
from state.redis.line import NoAnswer, RedisLine, TooManyAsk

LIFETIME_S: Final = 86_400


class Use(Enum):
    """What is known of a stem.

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
    """Stems at one Redis; connects to nothing before the first one.

    url:     empty for none; then every use is UNKNOWN.
    unknown: uses that Redis did not answer.
    """

    def __init__(self, url: str, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._line = (
            RedisLine(url, "without it idempotency keys are not compared", clock_s=clock_s)
            if url
            else None
        )
        self.unknown = 0

    async def close(self) -> None:
        if self._line is not None:
            await self._line.close()

    async def use(self, stem: str, digest: str) -> Use:
        """Take a stem for a body, or say whose it is.

        Raises TooManyAsk where Redis answers, but not as fast as is asked.
        """
        name = idempotency(stem)
        try:
            # In one step, so that of two pods exactly one is the first.
            former = await self._ask("SET", name, digest, "NX", "GET", "EX", LIFETIME_S)
        except (NoAnswer, ResponseError):
            self.unknown += 1
            return Use.UNKNOWN
        if former is None:
            return Use.FIRST
        return Use.SAME if former == digest.encode() else Use.OTHER

    async def is_unused(self, stem: str) -> bool:
        """Say whether it is certain that nobody used a stem within a day; raises as `use`."""
        try:
            return bool(await self._ask("EXISTS", idempotency(stem)) == 0)
        except (NoAnswer, ResponseError):
            return False

    async def give_back(self, stem: str) -> None:
        """Forget a stem whose request was refused before it was appended."""
        # A stem that stays is harmless: it stands for the same body.
        with suppress(NoAnswer, TooManyAsk, ResponseError):
            await self._ask("DEL", idempotency(stem))

    async def _ask(self, *command: str | int) -> Any:
        if self._line is None:
            raise NoAnswer
        return await self._line.ask(*command)
