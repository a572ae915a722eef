"""Whether a client of librdkafka lost a connection that it had.

A lost connection is told in the client's log alone: `error_cb` hears of connections that could
not be made, and that no broker is connected any more. The log repeats nothing within 30 s, so both
have to be heeded.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError

# How the client ends each line about a connection that stood until then.
_STOOD: Final = " in state UP"


def none_is_left(error: KafkaError) -> bool:
    """Say whether an error tells that the client is connected to no broker any more."""
    return bool(error.code() == KafkaError._ALL_BROKERS_DOWN)  # noqa: SLF001 (its public name)


class ConnectionLog:
    """Passes a client's log lines on; given to a client as `logger`.

    lost: called with each line about a connection that was lost, while the client is polled, and
          before it gives records of the next connection.
    """

    def __init__(self, log: logging.Logger, lost: Callable[[], None]) -> None:
        self._log = log
        self._lost = lost

    def log(self, level: int, message: str, *args: Any) -> None:
        if _STOOD in (message % args if args else message):
            self._lost()
        self._log.log(level, message, *args)
