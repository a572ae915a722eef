"""Where no broker is named yet, aiokafka asks again.

A broker that its controller has not heard of for long, as on a machine that is too busy, answers
with a list of no brokers, not even itself. A client that has just begun keeps its first connection
for such a cluster and asks there again; who looked for a coordinator meanwhile failed by an
assertion, which nobody takes for trouble that passes: a takeover ended its worker.
"""

from __future__ import annotations

from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NodeNotReadyError

_some_node = AIOKafkaClient.get_random_node


def wait_for_brokers() -> None:
    """Have clients of this process raise NodeNotReadyError, which is retried, for no broker."""
    AIOKafkaClient.get_random_node = _a_node


def _a_node(self: Any) -> int:
    node: int | None = _some_node(self)
    if node is None:
        raise NodeNotReadyError("the brokers' list names none; asked again")
    return node
