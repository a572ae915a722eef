"""Appends answers to the source topic of a route: again and again until they are in.

The producer is idempotent, so its own retries add no second record. When it gives up, a new one
takes its place; then an answer may be in the log twice, which the handler recognizes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from streams.runtime.process.observer import Observer

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_STOP_S: Final = 15.0


class AnswerTooLarge(Exception):
    """No broker takes an answer of this size."""


class Appending(Protocol):
    """What of a producer is asked here."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def send_and_wait(
        self, topic: str, value: bytes, *, key: bytes | None, partition: int
    ) -> Any: ...


def idempotent_producer(connection: Mapping[str, Any]) -> Appending:
    """Return a producer that is not started yet."""
    producer: Appending = AIOKafkaProducer(
        **connection, enable_idempotence=True, acks="all", linger_ms=2
    )
    return producer


class AnswerLog:
    """The log of answers; begins with the first one.

    make: gives a producer that is not started.
    """

    def __init__(self, make: Callable[[], Appending], observer: Observer) -> None:
        self._make = make
        self._observer = observer
        self._producer: Appending | None = None
        self._changing = asyncio.Lock()
        self._is_troubled = False

    async def append(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """Return once the record is in; raises AnswerTooLarge where it never will be.

        Whoever loses the partition cancels this.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            producer: Appending | None = None
            try:
                producer = await self._started()
                await producer.send_and_wait(topic, value, key=key, partition=partition)
            except (MessageSizeTooLargeError, RecordTooLargeError) as error:
                raise AnswerTooLarge(str(error)) from error
            except (KafkaError, OSError) as error:
                self._note(error)
                await self._drop(producer)
            else:
                self._note(None)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def stop(self) -> None:
        await self._drop(self._producer)

    def _note(self, error: Exception | None) -> None:
        """Say once that brokers do not take answers, and once that they do again."""
        if error is not None and not self._is_troubled:
            self._observer.log.error("answers wait for the brokers: %r", error)
        elif error is None and self._is_troubled:
            self._observer.log.warning("answers are appended again")
        self._is_troubled = error is not None

    async def _started(self) -> Appending:
        async with self._changing:
            if self._producer is None:
                producer = self._make()
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _drop(self, producer: Appending | None) -> None:
        """Stop a producer that failed, unless another has taken its place already."""
        async with self._changing:
            if producer is None or self._producer is not producer:
                return
            self._producer = None
            # It flushes what others gave it, which ends when those requests time out.
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await producer.stop()
