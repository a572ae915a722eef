"""Owners of partitions for tests of look-ups: a worker's real pages over stores in memory."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from state.owners.name import owner_name
from state.stores import envelope
from state.stores.memory import MemoryStore
from state.stores.partition_state import Changes, PartitionState
from streams.batch import Batch, Effects, State
from streams.route import Route
from streams.runtime.health import HealthServer
from streams.runtime.ownership.committed_records import CommittedRecords, Lookups
from streams.runtime.process.observer import Observer
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.input_partition import InputPartition

Place = tuple[str, int]


def nothing(batch: Batch, state: State, log_time_ms: int) -> Effects:
    return Effects()


def partition_over(
    store: MemoryStore, place: Place, directory: Path, next_offset: int = 0
) -> InputPartition:
    route = Route("role", place[0], nothing, (), "changelog", "dead")
    journal = CrashJournal(directory / "journal.json")
    return InputPartition(route, *place, 20, PartitionState(store), next_offset, 0, journal)


def filled(store: MemoryStore, values: Mapping[bytes, bytes]) -> MemoryStore:
    """Put payloads into a store."""
    puts = [(key, envelope.pack(value)) for key, value in sorted(values.items())]
    store.apply(Changes(puts, [], {}, []), None)
    return store


class Owner:
    """A worker's health server and its present generation.

    name: what it claims under; records: None while it has no partitions.
    damaged: the places whose store a look-up could not read. left_alone: ms by destination, of
    every route.
    """

    def __init__(self, directory: Path, token: str = "") -> None:
        self.observer = Observer(30)
        self.records: CommittedRecords | None = None
        self.damaged: list[Place] = []
        self.left_alone: dict[str, int] = {}
        self.name = ""
        self.directory = directory
        lookups = Lookups(
            lambda: self.records,
            token=token,
            host="127.0.0.1",
            count=self.observer.looked_up,
            left_alone=lambda _: self.left_alone,
        )
        self.server = HealthServer(self.observer, lookups, "127.0.0.1", 0, directory)

    def assigned(self, places: list[Place], generation: int = 4, *, name: str = "") -> None:
        """Begin a generation: the places are claimed, and not restored yet."""
        address = f"127.0.0.1:{self.server.port}"
        self.name = name or owner_name("seats", "one", generation, address)
        self.records = CommittedRecords(
            self.name, places, lambda place, _: self.damaged.append(place)
        )

    def restored(self, stores: Mapping[Place, MemoryStore], next_offset: int = 0) -> None:
        """Answer from these stores."""
        assert self.records is not None
        partitions = {
            place: partition_over(store, place, self.directory, next_offset)
            for place, store in stores.items()
        }
        self.records.open(partitions)


@asynccontextmanager
async def serving(directory: Path, token: str = "") -> AsyncIterator[Owner]:
    """Give a worker whose pages are up, without partitions."""
    owner = Owner(directory, token)
    await owner.server.start()
    try:
        yield owner
    finally:
        await owner.server.stop()
