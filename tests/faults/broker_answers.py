"""A broker that answers with error codes: of a whole request, or of one partition in it.

The broker acts on the requests all the same. Answers to aiokafka, in the versions that it speaks,
are rewritten; those to other clients pass as they are.
"""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.protocol.commit import OffsetCommitResponse_v3
from aiokafka.protocol.fetch import FetchResponse_v11
from aiokafka.protocol.group import (
    HeartbeatResponse_v1,
    JoinGroupResponse_v5,
    SyncGroupResponse_v3,
)
from aiokafka.protocol.offset import OffsetResponse_v3
from aiokafka.protocol.produce import ProduceResponse_v7
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnResponse_v0,
    AddPartitionsToTxnResponse_v0,
    EndTxnResponse_v0,
    InitProducerIdResponse_v0,
    TxnOffsetCommitResponse_v0,
)
from faults.proxy import Asked

FETCH = 1
LIST_OFFSETS = 2
OFFSET_COMMIT = 8
JOIN_GROUP = 11

UNKNOWN_SERVER_ERROR = -1
UNKNOWN_TOPIC_OR_PARTITION = 3
NOT_LEADER = 6
KAFKA_STORAGE_ERROR = 56

_ANSWERS: Mapping[tuple[int, int], Any] = {
    (0, 7): ProduceResponse_v7,
    (1, 11): FetchResponse_v11,
    (2, 3): OffsetResponse_v3,
    (8, 3): OffsetCommitResponse_v3,
    (11, 5): JoinGroupResponse_v5,
    (12, 1): HeartbeatResponse_v1,
    (14, 3): SyncGroupResponse_v3,
    (22, 0): InitProducerIdResponse_v0,
    (24, 0): AddPartitionsToTxnResponse_v0,
    (25, 0): AddOffsetsToTxnResponse_v0,
    (26, 0): EndTxnResponse_v0,
    (28, 0): TxnOffsetCommitResponse_v0,
}
"""By API key and version."""

_CORRELATION_BYTES = 4


@dataclass(slots=True)
class _Saying:
    key: int
    code: int
    times: int
    named: bytes
    topic: str
    partitions: Collection[int]


class BrokerAnswers:
    """Rewrites answers; give it to a proxy. Nothing is rewritten until `say` was called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sayings: list[_Saying] = []

    def say(
        self,
        key: int,
        code: int,
        *,
        times: int,
        named: str = "",
        topic: str = "",
        partitions: Collection[int] = (),
    ) -> None:
        """Answer so many requests with an error code.

        key:               which kind of request.
        named:             what must stand in the request: a group, a transactional id, a topic.
        topic, partitions: of which it is said, where an answer speaks of partitions; all of them
                           if none is given. An answer that speaks of none of them passes. Of
                           other partitions in it other things may be said.
        """
        with self._lock:
            self._sayings.append(_Saying(key, code, times, named.encode(), topic, partitions))

    def be_silent(self) -> None:
        """Let every answer pass from now on."""
        with self._lock:
            self._sayings.clear()

    def left(self) -> int:
        """Return how many answers are still to be rewritten."""
        with self._lock:
            return sum(saying.times for saying in self._sayings)

    def __call__(self, asked: Asked, answer: bytes) -> bytes:
        kind = _ANSWERS.get((asked.key, asked.version))
        if kind is None:
            return answer
        with self._lock:
            for saying in self._sayings:
                if saying.key != asked.key or not saying.times or saying.named not in asked.frame:
                    continue
                rewritten = _rewritten(kind, answer, saying)
                if rewritten == answer:
                    continue
                saying.times -= 1
                answer = rewritten
                if not saying.partitions:
                    break
        return answer


def _rewritten(kind: Any, answer: bytes, saying: _Saying) -> bytes:
    head, body = answer[:_CORRELATION_BYTES], answer[_CORRELATION_BYTES:]
    told = kind.decode(BytesIO(body))
    values = [getattr(told, name) for name in kind.SCHEMA.names]
    for at, name in enumerate(kind.SCHEMA.names):
        if name in {"topics", "errors"}:
            values[at] = [
                (topic, [_of_one(topic, part, saying) for part in parts])
                for topic, parts in values[at]
            ]
            break
    else:
        values[kind.SCHEMA.names.index("error_code")] = saying.code
    return head + bytes(kind(*values).encode())


def _of_one(topic: str, part: tuple[Any, ...], saying: _Saying) -> tuple[Any, ...]:
    """Return what is told of one partition: its number, its error code, and more."""
    is_meant = saying.topic in {"", topic} and (
        not saying.partitions or part[0] in saying.partitions
    )
    return (part[0], saying.code, *part[2:]) if is_meant else part
