"""Partitions that run and cannot decide their next record yet, while the others go on.

What is missing is a schema, for which the registry is asked, or newer code, which only another
release has. The records are back in the partition's buffer meanwhile, and no more are fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from serdes.registry.known_ids import SchemaIdsError
from streams.batch import Record, UnknownSchema
from streams.runtime.process.fatal import end_process
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transactions.schema_questions import SchemaQuestions
from streams.runtime.worker_parts import WorkerParts


class Waiting:
    """The partitions of one group commit that wait; goes_on: called when one of them has ended."""

    def __init__(self, parts: WorkerParts, goes_on: Callable[[], None]) -> None:
        self._observer = parts.observer
        self._ask_registry = parts.ask_registry
        self._fetch_from = parts.fetch_from
        self._goes_on = goes_on
        self._asking: set[asyncio.Task[None]] = set()
        # By topic and partition, and kept when a partition leaves: what the registry was asked
        # counts on once it is taken in again.
        self._questions: dict[tuple[str, int], SchemaQuestions] = {}

    def join(self, partition: InputPartition) -> None:
        """Give a partition the questions that it had asked before it left."""
        where = partition.topic, partition.number
        partition.schemas = self._questions.setdefault(where, partition.schemas)

    def stop(self) -> None:
        """Ask nothing more; who waits goes on waiting."""
        for asking in self._asking:
            asking.cancel()

    def wait(self, partition: InputPartition, records: Sequence[Record], why: str) -> None:
        """Put a partition's records back and fetch no more for it."""
        partition.put_back(records)
        partition.is_waiting = True
        self._fetch_from(partition, False)
        self._observer.waits(partition.place, why)

    def wait_for_schema(
        self, partition: InputPartition, records: Sequence[Record], unknown: UnknownSchema
    ) -> None:
        """The same, while the registry is asked for the schema ids that the records need."""
        self.wait(partition, records, f"asking the registry for {unknown}")
        task = asyncio.create_task(self._ask(partition, unknown.schema_ids))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, partition: InputPartition, schema_ids: frozenset[int]) -> None:
        try:
            await partition.schemas.ask(schema_ids, self._ask_registry)
        except SchemaIdsError as error:
            end_process(f"schema ids: {type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  (whatever it is, the process ends)
            end_process(f"unexpected {error!r}", error)
        if partition.has_left:
            return
        partition.is_waiting = False
        self._fetch_from(partition, True)
        self._observer.runs_again(partition.place)
        self._goes_on()
