"""A group coordinator that answers what is committed with an error, as while it loads or moves.

It says so once for the whole group, without any partition, or of some partitions only.
"""

import threading
from collections.abc import Collection
from io import BytesIO

from aiokafka.protocol.commit import OffsetFetchResponse_v3
from faults.proxy import OFFSET_FETCH, Asked

COORDINATOR_LOAD_IN_PROGRESS = 14
COORDINATOR_NOT_AVAILABLE = 15
NOT_COORDINATOR = 16
TOPIC_AUTHORIZATION_FAILED = 29
GROUP_AUTHORIZATION_FAILED = 30

_CORRELATION_BYTES = 4


class GroupAnswers:
    """Rewrites answers to OffsetFetch of version 3, which is aiokafka's; give it to a proxy.

    Nothing is rewritten until `say` was called for a group.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: dict[bytes, tuple[int, Collection[int], int]] = {}

    def say(self, group: str, code: int, *, times: int, partitions: Collection[int] = ()) -> None:
        """Answer so many questions about a group with an error code.

        partitions: of which it is said; none for the whole group.
        """
        with self._lock:
            self._errors[group.encode()] = (code, partitions, times)

    def left(self, group: str) -> int:
        """Return how many answers are still to be rewritten."""
        with self._lock:
            return self._errors[group.encode()][2]

    def __call__(self, asked: Asked, answer: bytes) -> bytes:
        if asked.key != OFFSET_FETCH or asked.version != 3:
            return answer
        with self._lock:
            for group, (code, partitions, times) in self._errors.items():
                named = len(group).to_bytes(2, "big") + group
                if times and named in asked.frame:
                    self._errors[group] = (code, partitions, times - 1)
                    return _rewritten(answer, code, partitions)
        return answer


def _rewritten(answer: bytes, code: int, partitions: Collection[int]) -> bytes:
    head, body = answer[:_CORRELATION_BYTES], answer[_CORRELATION_BYTES:]
    told = OffsetFetchResponse_v3.decode(BytesIO(body))
    if not partitions:
        return head + bytes(OffsetFetchResponse_v3(0, [], code).encode())
    topics = [
        (
            topic,
            [
                (part, -1, "", code) if part in partitions else (part, offset, metadata, error)
                for part, offset, metadata, error in listed
            ],
        )
        for topic, listed in told.topics
    ]
    return head + bytes(OffsetFetchResponse_v3(0, topics, 0).encode())
