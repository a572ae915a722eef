"""One connection to Redis for all requests of a pod: what they ask in one turn is one write.

No request waits for a free connection, so many requests at once are never mistaken for a server
that is gone. Whether Redis answers is judged in ticks of this process' own loop: a loop that is
late is not Redis' fault. A server that answers nothing for `SILENT_TICKS`, or gives an answer that
concerns every question (BUSY, LOADING, OOM, NOAUTH), is left alone for a while.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

TICK_S: Final = 0.02
SILENT_TICKS: Final = 5
"""Redis has not answered when nothing was heard for so many ticks while somebody waited: 100 ms,
and longer where the loop turns more slowly."""

CONNECT_TICKS: Final = 25
"""The same for a connection, which takes several turns of the loop: TLS, login, database."""

LATE_TICKS: Final = 50
"""Who waits for so long while others are answered, a second or more, is told to come back."""

WAITING_MAX: Final = 8_192
"""Questions on their way; the next one is told to come back."""

REST_S: Final = (0.5, 5.0)
"""How long Redis is left alone after a failure: at first, and at most."""

log = logging.getLogger("seatstream.api")


class NoAnswer(Exception):
    """Redis did not answer, or is left alone because it did not.

    Operator action: none here; see the log for why Redis does not answer.
    """


class TooManyAsk(Exception):
    """Redis answers, but more is asked than it answers in time.

    Operator action: more pods, or a faster Redis.
    """


@dataclass(slots=True)
class _Question:
    tick: int
    answer: "asyncio.Future[Any]"


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


class RedisLine:
    """The connection; it is made when first needed, and anew when it was lost.

    url:     redis://, rediss:// or unix://, with user, password and database.
    purpose: what goes on without Redis, for the log.
    """

    def __init__(
        self,
        url: str,
        purpose: str,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        # The pool reads the address; its connections are made here. No bound of its own: it would
        # take this process' lateness for that of the server.
        self._pool = ConnectionPool.from_url(
            url, socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._purpose = purpose
        self._breaker = Breaker(clock_s)
        self._waiting_max = waiting_max
        self._unsent: list[Sequence[Any]] = []
        self._asked = asyncio.Event()
        self._waiting: deque[_Question] = deque()
        self._life: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tick = 0
        self._heard_tick = 0
        self._patience_ticks = CONNECT_TICKS

    async def ask(self, *command: str | int) -> Any:
        """Return the answer to a command.

        Raises NoAnswer, TooManyAsk, or ResponseError for what is wrong with this command alone.
        """
        if self._life is None and not self._breaker.may_try():
            raise NoAnswer
        if len(self._waiting) >= self._waiting_max:
            raise TooManyAsk
        loop = asyncio.get_running_loop()
        if self._life is None:
            self._patience_ticks = CONNECT_TICKS
            self._heard_tick = self._tick
            self._life = loop.create_task(self._live())
        elif self._breaker.is_broken:
            # One tries; the others do not wait for how it ends.
            raise NoAnswer
        question = _Question(self._tick, loop.create_future())
        self._waiting.append(question)
        self._unsent.append(command)
        self._asked.set()
        if self._timer is None:
            self._timer = loop.call_later(TICK_S, self._look)
        return await question.answer

    async def close(self) -> None:
        life = self._life
        self._end(None)
        if life is not None:
            with suppress(asyncio.CancelledError):
                await life

    # --- one life of the connection --------------------------------------------------------

    async def _live(self) -> None:
        """Connect, write what is asked and read what is answered, until that fails."""
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._heard_tick = self._tick
            self._patience_ticks = SILENT_TICKS
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(connection))
                group.create_task(self._read(connection))
        except* Exception as errors:  # noqa: BLE001
            # Whatever the client cannot make sense of is no answer.
            self._end(errors.exceptions[0])
        finally:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    async def _write(self, connection: Connection) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            commands, self._unsent = self._unsent, []
            packed = connection.pack_commands(commands)
            await connection.send_packed_command(packed, check_health=False)

    async def _read(self, connection: Connection) -> None:
        while True:
            answer: Any
            try:
                answer = await connection.read_response(timeout=inf, disconnect_on_error=False)
            except ResponseError as error:
                if not _is_of_one_command(error):
                    raise
                answer = error
            self._heard_tick = self._tick
            future = self._waiting.popleft().answer
            if self._breaker.is_broken:
                log.warning("Redis answers again: %s", self._purpose)
                self._breaker.succeeded()
            # Who has left, or was told to come back, is told nothing more.
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _look(self) -> None:
        """See at every tick whether the oldest question waits for too long."""
        self._timer = None
        if not self._waiting:
            return
        self._tick += 1
        since = max(self._heard_tick, self._waiting[0].tick)
        if self._tick - since >= self._patience_ticks:
            self._end(TimeoutError("no answer in time"))
            return
        for question in self._waiting:
            if self._tick - question.tick < LATE_TICKS:
                break
            if not question.answer.done():
                question.answer.set_exception(TooManyAsk())
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._look)

    def _end(self, error: Exception | None) -> None:
        """End this life of the connection, and whoever waits for an answer through it."""
        life, self._life = self._life, None
        if life is not None and life is not asyncio.current_task():
            life.cancel()
        waiting, self._waiting = self._waiting, deque()
        self._unsent.clear()
        self._asked.clear()
        # A server that ends a connection which nobody uses has not failed.
        if error is not None and waiting:
            if not self._breaker.is_broken:
                name = type(error).__name__
                log.warning("Redis does not answer (%s: %s): %s", name, error, self._purpose)
            self._breaker.failed()
        for question in waiting:
            if not question.answer.done():
                question.answer.set_exception(NoAnswer())


def _is_of_one_command(error: ResponseError) -> bool:
    return isinstance(error, NoScriptError) or "WRONGTYPE" in str(error)
