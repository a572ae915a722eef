"""Transactions that stay open: they keep everything behind their first record invisible.

Whoever reads committed records reads up to a partition's stable offset, which is where the oldest
open transaction began. One that nobody ends, because its producer is gone and its coordinator
takes it for ended, keeps it there for good, while every producer goes on being acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from state.kafka.ends import END, listed

Place = tuple[str, int]
"""Topic and partition."""

RUNBOOK: Final = "docs/runbooks/hanging-transaction.md"


@dataclass(frozen=True, slots=True)
class Open:
    """A transaction that has not ended.

    begins_at: its first offset. hidden: offsets from there to the end. for_s: seconds since it was
    first seen.
    """

    begins_at: int
    hidden: int
    for_s: float

    def told(self, place: Place) -> str:
        """Return what is wrong and what must be done."""
        # Without what changes while it lasts: it is logged whenever it is another text.
        return (
            f"{place[0]}-{place[1]}: a transaction that began at offset {self.begins_at} stays "
            "open and hides everything behind it from whoever reads committed records. It must be "
            f"ended, see {RUNBOOK}"
        )


class OpenTransactions:
    """What is known of the transactions that keep partitions back."""

    def __init__(self) -> None:
        self._seen: dict[Place, tuple[int, float, int]] = {}

    def note(self, ends: Mapping[Place, tuple[int, int]], now_s: float) -> None:
        """Take what was asked now: the stable offset and the end of each partition."""
        for place, (stable, end) in ends.items():
            begins_at, since_s, _ = self._seen.get(place, (-1, now_s, 0))
            if stable >= end:
                self._seen.pop(place, None)
            elif begins_at == stable:
                self._seen[place] = stable, since_s, end
            else:
                self._seen[place] = stable, now_s, end

    def forget_others(self, places: Iterable[Place]) -> None:
        """Keep nothing but what is known of these."""
        kept = set(places)
        self._seen = {place: seen for place, seen in self._seen.items() if place in kept}

    def open(self, now_s: float) -> dict[Place, Open]:
        """Return the oldest open transaction of each partition that has one."""
        return {
            place: Open(begins_at, end - begins_at, now_s - since_s)
            for place, (begins_at, since_s, end) in self._seen.items()
        }


def ask_ends(
    admin: AdminClient, places: Iterable[Place], timeout_s: float
) -> dict[Place, tuple[int, int]]:
    """Return the stable offset and the end of each partition whose leader tells both."""
    asked = [TopicPartition(*place) for place in places]
    if not asked:
        return {}
    # The stable one first: what is committed in between does not look open.
    stable = _offsets(admin, asked, IsolationLevel.READ_COMMITTED, timeout_s)
    ends = _offsets(admin, asked, IsolationLevel.READ_UNCOMMITTED, timeout_s)
    return {place: (stable[place], ends[place]) for place in stable.keys() & ends.keys()}


def _offsets(
    admin: AdminClient, asked: list[TopicPartition], isolation: Any, timeout_s: float
) -> dict[Place, int]:
    answers = admin.list_offsets(
        dict.fromkeys(asked, END), isolation_level=isolation, request_timeout=timeout_s
    )
    found = {}
    for at, answer in answers.items():
        try:
            found[at.topic, at.partition] = listed(answer).offset
        except KafkaException:
            # Nothing is known of it this time.
            continue
    return found
