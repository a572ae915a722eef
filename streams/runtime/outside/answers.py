"""Appends answers to the source topic of their route, until the brokers have them.

The producer is idempotent, so its own retries add no second record. When it gives up, a new
producer takes its place, and an answer may come into the log twice: the handler recognizes that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer, errors

from infra.process.record_ids import Headers
from streams.runtime.process.observer import Observer

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_STOP_S: Final = 15.0
"""How long a failed producer may flush the answers that it still has; then it is abandoned."""
_ABANDON_S: Final = 5.0


class AnswerTooLarge(Exception):
    """An answer is larger than the brokers, or our own readers, take."""


class Appending(Protocol):
    """The part of a producer that is used here."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def send_and_wait(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: list[tuple[str, bytes]],
    ) -> Any:
        """Append a record; return the broker's acknowledgement, which has its `offset`."""

    async def abandon(self) -> None:
        """Release everything after a `stop` that did not end; unacknowledged records fail."""


class _Producer(AIOKafkaProducer):
    """A producer that can be abandoned. Its own `stop` does nothing the second time."""

    async def abandon(self) -> None:
        self._message_accumulator.fail_all(
            errors.KafkaConnectionError("its producer was given up")
        )
        sending = self._sender.sender_task
        if sending is not None:
            sending.cancel()
        # The sender waits for the requests under way, which end when the connections close.
        await self.client.close()
        if sending is not None:
            await asyncio.wait({sending})


def idempotent_producer(connection: Mapping[str, Any]) -> Appending:
    """Return a producer that is not started yet."""
    producer: Appending = _Producer(**connection, enable_idempotence=True, acks="all", linger_ms=2)
    return producer


class AnswerLog:
    """Where answers are appended; its producer starts with the first answer.

    make: returns a producer that is not started.
    """

    def __init__(self, make: Callable[[], Appending], observer: Observer) -> None:
        self._make = make
        self._observer = observer
        self._producer: Appending | None = None
        self._changing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_troubled = False

    async def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes,
        headers: Headers = (),
    ) -> int:
        """Append a record, however long it takes; return its offset, -1 where it is not known.

        Raises AnswerTooLarge where no attempt can succeed. The caller cancels this when the worker
        loses the partition.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            producer: Appending | None = None
            try:
                producer = await self._started()
                told = await producer.send_and_wait(
                    topic, value, key=key, partition=partition, headers=list(headers)
                )
            except (errors.MessageSizeTooLargeError, errors.RecordTooLargeError) as error:
                raise AnswerTooLarge(str(error)) from error
            except (errors.KafkaError, OSError) as error:
                self._note(error)
                self._drop(producer)
            else:
                self._note(None)
                return int(told.offset)
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def stop(self) -> None:
        """Stop the producers; return when none is left."""
        self._drop(self._producer)
        if self._ending:
            await asyncio.wait(set(self._ending))

    def _note(self, error: Exception | None) -> None:
        """Log once that the brokers do not take answers, and once that they do again."""
        if error is not None and not self._is_troubled:
            self._observer.log.error(
                "answers wait for the brokers, which do not take them: %r", error
            )
        elif error is None and self._is_troubled:
            self._observer.log.warning("the brokers take answers again")
        self._is_troubled = error is not None

    async def _started(self) -> Appending:
        async with self._changing:
            if self._producer is None:
                producer = self._make()
                try:
                    await producer.start()
                except BaseException:
                    self._end(producer)
                    raise
                self._producer = producer
            return self._producer

    def _drop(self, producer: Appending | None) -> None:
        """Stop a producer that failed, unless another has taken its place already."""
        if producer is not None and self._producer is producer:
            self._producer = None
            self._end(producer)

    def _end(self, producer: Appending) -> None:
        # In a task of its own: the caller goes on to append, and may be cancelled at any time.
        ending = asyncio.create_task(self._stop(producer), name="answers: stop a producer")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _stop(self, producer: Appending) -> None:
        # `stop` flushes the answers of other callers, which ends when their requests time out.
        if await self._ends(producer.stop(), _STOP_S):
            return
        await self._ends(producer.abandon(), _ABANDON_S)

    async def _ends(self, step: Coroutine[Any, Any, None], limit_s: float) -> bool:
        """Do a step; say whether it ended well within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await step
        except Exception as error:  # noqa: BLE001  (whatever it is, another producer goes on)
            self._observer.log.warning(
                "a producer of answers does not stop, and another takes its place: %r", error
            )
            return False
        return True
