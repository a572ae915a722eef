"""A broker that had nothing may hold the next answer back until it has anything."""

import asyncio
from typing import Any

from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v11
from aiokafka.protocol.metadata import MetadataRequest

from streams.runtime.fetch_pace import IDLE_MAX_WAIT_MS, FetchPace
from streams.runtime.transport import FETCH_MAX_WAIT_MS, FETCH_MIN_BYTES

BUSY, IDLE = (FETCH_MAX_WAIT_MS, FETCH_MIN_BYTES), (IDLE_MAX_WAIT_MS, 1)


class Brokers:
    """A client of aiokafka whose brokers have records or not, and what they were asked for."""

    def __init__(self) -> None:
        self.records: dict[int, bytes] = {}
        self.asked: list[Any] = []
        FetchPace().listen_to(self)

    async def send(self, node_id: int, request: Any, **_: Any) -> FetchResponse_v11 | None:
        self.asked.append(request)
        if not isinstance(request, FetchRequest):
            return None
        parts = [(0, 0, 0, 0, 0, None, -1, b""), (1, 0, 0, 0, 0, None, -1, self.records[node_id])]
        return FetchResponse_v11(0, 0, 0, [("in", parts)])

    def fetched(self, node_id: int, records: bytes) -> tuple[int, int]:
        """Fetch from a broker that has these records; return what it was asked to wait for."""
        self.records[node_id] = records
        request = FetchRequest(*BUSY, 1 << 20, 1, [("in", [(0, 5, 1), (1, 5, 1)])])
        asyncio.run(self.send(node_id, request))
        return self.asked[-1]._max_wait_ms, self.asked[-1]._min_bytes


def test_who_had_nothing_is_asked_to_wait_until_there_is_anything() -> None:
    brokers = Brokers()
    told = [brokers.fetched(1, records) for records in (b"r", b"r", b"", b"", b"r", b"r", b"")]
    assert told == [BUSY, BUSY, BUSY, IDLE, IDLE, BUSY, BUSY]


def test_each_broker_has_a_pace_of_its_own() -> None:
    brokers = Brokers()
    assert [brokers.fetched(node, b"r" * node) for node in (0, 1, 0, 1)] == [
        BUSY,
        BUSY,
        IDLE,
        BUSY,
    ]


def test_other_questions_are_asked_as_they_are() -> None:
    brokers = Brokers()
    brokers.fetched(1, b"")
    question = MetadataRequest([])
    asyncio.run(brokers.send(1, question))
    assert brokers.asked[-1] is question
