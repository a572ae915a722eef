"""What all readings of a topic have in common, whatever they keep of it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Final

from serdes.decoding import (
    UNKNOWN_SCHEMA,
    Headers,
    TopicDecoder,
    Undecodable,
    UnknownRecordType,
    UnknownSchema,
    Verdict,
)
from state.kafka.freshness import Freshness

# The age of what was never known: beyond any that may be asked for, and an int to any client.
UNKNOWN_AGE_MS: Final = 2**31 - 1

UNKNOWN_RECORD_TYPE: Final = "UNKNOWN_RECORD_TYPE"

Learn = Callable[[int], bool]
"""Asks the registry for an unknown schema id and says whether the decoder knows it now."""


def never_known_ns(now_ns: int) -> int:
    """Return the clock at which something was known that has that age now."""
    return now_ns - UNKNOWN_AGE_MS * 1_000_000


@dataclass(slots=True)
class ReadingCounters:
    """What is counted of a topic that is followed; written by its thread alone.

    records:     taken in, bad ones included.
    bad:         skipped as unreadable or impossible, by reason.
    readings:    times the topic was read from its beginning to its end: 1 after the start.
    heartbeats, heartbeats_failed: questions for the end offsets, by their answer.
    read_errors: errors that the consumer reported, such as a broker gone.
    """

    records: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    readings: int = 0
    heartbeats: int = 0
    heartbeats_failed: int = 0
    read_errors: int = 0


class Reading:
    """What was read of a topic since one start.

    partitions:   how far each was read, by number.
    is_published: look-ups are answered from here, so that fewer records are taken at once.
    """

    def __init__(self, partitions: int, never_ns: int) -> None:
        self.partitions = tuple(Freshness(number, never_ns) for number in range(partitions))
        self.is_published = False

    def is_complete(self) -> bool:
        """Say whether each partition was read to the first end that was asked for."""
        return all(partition.has_been_known for partition in self.partitions)

    def all_known_ns(self) -> int:
        """Return the clock up to which every partition is sure to be read."""
        return min(partition.known_ns for partition in self.partitions)


class Skipped:
    """Counts records that cannot be used, by reason, and writes few of them into the log."""

    def __init__(self, log: logging.Logger, what: str, bad: Counter[str]) -> None:
        self._log = log
        self._what = what
        self._bad = bad

    def note(self, reason: str, detail: str) -> None:
        """Count one record."""
        self._bad[reason] += 1
        count = self._bad[reason]
        # Powers of two: a flood of bad records is no flood of lines.
        if count & (count - 1) == 0:
            self._log.warning("skipped %s: %s (%d so far): %s", self._what, reason, count, detail)


def verdict_on(
    decoder: TopicDecoder, learn: Learn, value: bytes | None, headers: Headers = ()
) -> Verdict:
    """Return what a record says; the registry is asked about an id that nobody knows yet."""
    verdict = decoder.decode(value, headers)
    if isinstance(verdict, UnknownSchema) and learn(verdict.schema_id):
        return decoder.decode(value, headers)
    return verdict


def fault_of(verdict: Undecodable | UnknownSchema | UnknownRecordType) -> tuple[str, str]:
    """Return reason and detail of a record that does not say anything."""
    if isinstance(verdict, Undecodable):
        return verdict.reason, verdict.detail
    if isinstance(verdict, UnknownSchema):
        return UNKNOWN_SCHEMA, f"schema {verdict.schema_id}"
    return UNKNOWN_RECORD_TYPE, verdict.detail


async def until(
    is_met: Callable[[], bool],
    timeout_s: float,
    waking: Callable[[Callable[[], None]], AbstractContextManager[None]],
    has_ended: Callable[[], bool],
) -> bool:
    """Wait on the running loop until `is_met`, `has_ended` or `timeout_s`; say whether it is met.

    is_met: asked by the caller; fast, and raises nothing.
    waking: given a function that any thread may call, has it called for the time of a `with`
            block whenever the answer may have become another.
    """
    if is_met():
        return True
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        # A loop that was closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(woken.set)

    with waking(wake), suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not is_met() and not has_ended():
                await woken.wait()
                woken.clear()
    return is_met()
