"""A producer that has transactions and nothing else."""

from typing import Any

from confluent_kafka import KafkaError, KafkaException


class InMemory:
    """committed: records as (topic, partition, key, value, headers); dies_at: a count of them."""

    def __init__(self, dies_at: int = -1, retries: int = 0) -> None:
        self.committed: list[tuple[str, int, Any, Any, list[tuple[str, bytes]]]] = []
        self.open: list[Any] = []
        self.dies_at, self.retries = dies_at, retries

    def begin_transaction(self) -> None:
        assert not self.open

    def produce(self, topic: str, value: Any, key: Any, partition: int, headers: Any) -> None:
        if len(self.committed) + len(self.open) == self.dies_at:
            raise KeyboardInterrupt
        self.open.append((topic, partition, key, value, headers))

    def poll(self, _: float) -> None: ...

    def commit_transaction(self, _: float) -> None:
        if self.retries:
            self.retries -= 1
            raise KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT, "late", False, True))
        self.committed += self.open
        self.open = []

    def abort_transaction(self, _: float) -> None:
        self.open = []
