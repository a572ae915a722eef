"""What the views of all topics share: counters, positions, skipped records, and waits."""

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

UNKNOWN_RECORD_TYPE: Final = "UNKNOWN_RECORD_TYPE"

Learn = Callable[[int], bool]
"""Asks the registry for an unknown schema id and says whether the decoder knows it now."""


@dataclass(slots=True)
class ReadingCounters:
    """What every view counts of its topic; only the feed's thread writes here.

    records:     records taken in, bad ones included.
    bad:         records skipped as unreadable or impossible, by reason.
    readings:    how often the topic was read from its beginning to its end: 1 after the start.
    heartbeats, heartbeats_failed: questions for the end offsets, by their answer.
    read_errors: errors that the consumer reported, such as a lost broker.
    """

    records: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    readings: int = 0
    heartbeats: int = 0
    heartbeats_failed: int = 0
    read_errors: int = 0


class Reading:
    """What the feed has read of a topic since it last began at the start.

    partitions:   how far each partition was read, by number.
    is_published: look-ups are answered from this reading. The feed takes fewer records at once
                  then, so that look-ups wait less.
    """

    def __init__(self, partitions: int, never_ns: int) -> None:
        self.partitions = tuple(Freshness(number, never_ns) for number in range(partitions))
        self.is_published = False

    def is_complete(self) -> bool:
        """Say whether each partition was read to the first end offset that the brokers told."""
        return all(partition.has_been_known for partition in self.partitions)

    def all_known_ns(self) -> int:
        """Return the time, by the view's clock, up to which every partition was surely read."""
        return min(partition.known_ns for partition in self.partitions)


def knows_no_more(schema_id: int) -> bool:  # noqa: ARG001
    """Be a `Learn` without a registry."""
    return False


class Records:
    """Reads the records of one topic; counts those that cannot be used, and logs a few of them.

    what: what a record is, for the log. bad: counts by reason.
    """

    def __init__(
        self,
        decoder: TopicDecoder,
        learn: Learn,
        log: logging.Logger,
        what: str,
        bad: Counter[str],
    ) -> None:
        self._decoder = decoder
        self._learn = learn
        self._log = log
        self._what = what
        self._bad = bad

    def verdict(self, value: bytes | None, headers: Headers = ()) -> Verdict:
        """Return what a record says; asks the registry first where its schema id is unknown."""
        verdict = self._decoder.decode(value, headers)
        if isinstance(verdict, UnknownSchema) and self._learn(verdict.schema_id):
            return self._decoder.decode(value, headers)
        return verdict

    def skip(self, reason: str, detail: str) -> None:
        """Count one record."""
        self._bad[reason] += 1
        count = self._bad[reason]
        # Only powers of two are logged: a flood of bad records shall not flood the log.
        if count & (count - 1) == 0:
            self._log.warning("skipped %s: %s (%d so far): %s", self._what, reason, count, detail)


def fault_of(verdict: Undecodable | UnknownSchema | UnknownRecordType) -> tuple[str, str]:
    """Return why a record cannot be read: a reason and its detail."""
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
    """Wait on the running loop until `is_met`, `has_ended` or `timeout_s`; return `is_met()`.

    is_met: called on the loop; must be fast and raise nothing.
    waking: takes a function that any thread may call. For as long as the returned `with` block
            runs, that function is called whenever the answer of `is_met` may have changed.
    """
    if is_met():
        return True
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        # Nobody waits on a loop that was closed meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(woken.set)

    with waking(wake), suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not is_met() and not has_ended():
                await woken.wait()
                woken.clear()
    return is_met()
