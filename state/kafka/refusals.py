"""Why brokers do not let a client of librdkafka in.

Its requests only time out then; the reason comes beside them, to `error_cb`.
"""

from typing import Final

from confluent_kafka import KafkaError

_NOT_LET_IN: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001 (its public names)


class Refusals:
    """Remembers the last refused login or failed TLS handshake; given to a client as `error_cb`.

    The client calls it while it is polled.
    """

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, error: KafkaError) -> None:
        # A certificate that is missing, or a listener without TLS, is told as a lost connection:
        # in words only.
        if error.code() in _NOT_LET_IN or "SSL " in error.str():
            # Behind it stands how long the attempt took, which differs each time.
            self.last = error.str().partition(" (after ")[0]

    def told_with(self, failure: object) -> str:
        """Return a failure's text, and the refusal behind it if there was one."""
        return f"{failure}: {self.last}" if self.last else str(failure)
