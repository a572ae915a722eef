"""How long a broker may hold back the answer to a fetch: briefly while records flow, else longer.

An idle worker would ask a hundred times a second, of each broker, and brokers spent most of their
time on that. A broker that had nothing is asked to answer the next fetch as soon as there is
anything: so a record that comes alone waits for nothing.
"""

from typing import Any, Final

from aiokafka.protocol.fetch import FetchRequest

IDLE_MAX_WAIT_MS: Final = 100
"""Also how long a partition may wait for its first fetch that is asked for beside idle ones."""

_IDLE_MIN_BYTES: Final = 1


class FetchPace:
    """The pace of one consumer's fetches, by broker."""

    def __init__(self) -> None:
        self._idle = set[int]()

    def listen_to(self, client: Any) -> None:
        """Set the pace of every fetch that this client of aiokafka sends from now on."""
        send = client.send

        async def paced(node_id: int, request: Any, **options: Any) -> Any:
            if not isinstance(request, FetchRequest):
                return await send(node_id, request, **options)
            if node_id in self._idle:
                request._max_wait_ms, request._min_bytes = IDLE_MAX_WAIT_MS, _IDLE_MIN_BYTES
            response = await send(node_id, request, **options)
            (self._idle.discard if _has_records(response) else self._idle.add)(node_id)
            return response

        client.send = paced


def _has_records(response: Any) -> bool:
    """Say whether an answer to a fetch brought anything; the records of a partition stand last."""
    return any(part[-1] for _, answered in response.topics for part in answered)
