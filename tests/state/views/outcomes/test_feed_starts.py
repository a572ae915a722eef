"""Where the outcome feed begins to read: never at an end that is found out later."""

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition

from state.views.following.heartbeat import TopicIdentity
from state.views.outcomes.feed import _END, _NEWEST, LOOK_BACK_MS, OutcomeFeed

NEWEST_MS = 1_764_000_000_000
# Stable end, newest record's time, first offset within the look-back; -1 where there is none.
PARTITIONS = ((0, -1, -1), (40, NEWEST_MS, 7), (5, NEWEST_MS - 3 * LOOK_BACK_MS, -1))


class Brokers:
    """Answers offset questions as an admin client does, and notes the order of the questions."""

    def __init__(self, partitions: tuple[tuple[int, int, int], ...] = PARTITIONS) -> None:
        self.asked: list[str] = []
        self._partitions = partitions

    def list_offsets(
        self,
        specs: Mapping[TopicPartition, Any],
        *,
        isolation_level: IsolationLevel | None = None,
        request_timeout: float,  # noqa: ARG002
    ) -> dict[TopicPartition, "Future[Any]"]:
        answers = {}
        for place, spec in specs.items():
            end, newest_ms, first = self._partitions[place.partition]
            if spec is _END:
                assert isolation_level is IsolationLevel.READ_COMMITTED
                kind, answer = "end", SimpleNamespace(offset=end)
            elif spec is _NEWEST:
                kind, answer = "newest", SimpleNamespace(timestamp=newest_ms)
            else:
                kind, answer = "first", SimpleNamespace(offset=first)
            self.asked.append(kind)
            answers[place] = Future[Any]()
            answers[place].set_result(answer)
        return answers


def test_a_partition_without_young_outcomes_is_read_from_the_end_it_had_when_first_asked() -> None:
    brokers = Brokers()
    feed = OutcomeFeed("127.0.0.1:1")
    starts = feed._starts(brokers, TopicIdentity("outcomes", "", 3))  # type: ignore[arg-type]
    assert [(at.partition, at.offset) for at in starts] == [(0, 0), (1, 7), (2, 5)]
    assert brokers.asked[:3] == ["end"] * 3


def test_without_an_end_nothing_is_begun() -> None:
    feed = OutcomeFeed("127.0.0.1:1")
    brokers = Brokers(((-1001, -1, -1),))
    with pytest.raises(KafkaException):
        feed._starts(brokers, TopicIdentity("outcomes", "", 1))  # type: ignore[arg-type]
