"""Who pays in a benchmark: holds of known buyers, the worker that takes the money, the gateway."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import psutil

from benchmarks.measuring.cluster import Cluster
from benchmarks.measuring.offered_load import Reader
from benchmarks.pod_runs.api_pod import user_name
from benchmarks.pod_runs.arena import EVENT_ID, Arena, Command
from benchmarks.seat_runs.paced import open_sections
from benchmarks.seat_runs.seen import SOLD, outcomes_named, wait_seen
from benchmarks.seat_runs.worker import Worker
from infra.stack.loopback import tell
from schemas.topics import SECTION_COMMANDS
from scripts.traffic.sending import CommandEncoders
from state.domain.keys import issued_id, partition_of, section_key, stem_of

HELD = "SeatsHeld"
GATEWAY_TIMEOUT_S = 10.0
GATEWAY = "mock"
METHOD = "card"


class Held(NamedTuple):
    """One seat that somebody holds; user: the number of who does."""

    reservation_id: str
    user: int
    key: bytes
    identity: bytes


def holds(arena: Arena, encoders: CommandEncoders, count: int, seed: str) -> Iterator[Held]:
    """Yield who will hold a seat, in sections drawn at random; the same for the same seed."""
    random, names = Random(seed), arena.names()
    for number in range(count):
        name = names[random.randrange(len(names))]
        key = section_key(EVENT_ID, name)
        # As pods give them out: only so does a pod find who has to know.
        stem = stem_of(user_name(number), f"{seed}-{number}")
        reservation_id = issued_id(stem, partition_of(key, SECTION_COMMANDS.partitions))
        identity = encoders.identity(reservation_id, user_name(number), name, EVENT_ID, stem)
        yield Held(reservation_id, number, key, identity)


class Till:
    """A cluster with a gateway, and a worker of all roles: a new one for each group.

    calls: most charges that may be under way.
    """

    def __init__(self, cluster: Cluster, arena: Arena, directory: Path, calls: int) -> None:
        self.cluster = cluster
        self.group = directory.name
        self._arena = arena
        self._directory = directory
        self._calls = calls
        self._serial = 0
        child = cluster.gateway.child
        assert child is not None, "the gateway runs"
        self._gateway = psutil.Process(child.pid)

    def worker(self) -> Worker:
        """Start a worker of the group; its block kills it."""
        return Worker.of_topology(
            self.cluster,
            self.group,
            self._directory / "worker",
            SEATSTREAM_ROLES="seats,payments",
            SEATSTREAM_CALLS=str(self._calls),
            SEATSTREAM_CALLS_PER_DESTINATION=str(self._calls),
            SEATSTREAM_GATEWAYS=GATEWAY,
            MOCK_GATEWAY_URL=self.cluster.gateway.url,
        )

    @contextmanager
    def opened(self) -> Iterator[Worker]:
        """Give a worker on topics that are new but for the opened sections."""
        self.cluster.fresh_topics()
        with self.worker() as worker:
            worker.wait_ready()
            open_sections(self.cluster, self._arena, self.group, worker)
            yield worker

    def hold(self, count: int, worker: Worker) -> list[Held]:
        """Let buyers hold a seat each; return when that is decided."""
        encoders = self.cluster.encoders
        self._serial += 1
        held = list(holds(self._arena, encoders, count, f"{self.group}-{self._serial}"))
        with outcomes_named(self.cluster, HELD) as reader:
            self.cluster.preload(
                Command(one.reservation_id, one.key, encoders.hold_best(one.identity, 1))
                for one in held
            )
            # Not by positions: markers of transactions may be the last that lies in the log, and
            # nobody's position is behind them before the next tick.
            wait_seen(reader, count, worker)
        return held

    def starts(self, held: Sequence[Held]) -> list[Command]:
        """Return the commands that begin to pay for these."""
        encoders = self.cluster.encoders
        return [
            Command(
                one.reservation_id,
                one.key,
                encoders.start_payment(one.identity, 1, GATEWAY, METHOD, b""),
            )
            for one in held
        ]

    @contextmanager
    def sold(self) -> Iterator[Reader]:
        """Give a reader of what is sold from now on; it has ended when the block is left."""
        with outcomes_named(self.cluster, SOLD) as reader:
            yield reader

    def pace(self, delay_ms: int) -> None:
        """Let the gateway answer everything so late from now on."""
        body = json.dumps({"delay_ms": delay_ms, "late_ms": delay_ms}).encode()
        tell(self.cluster.gateway.control_url + "/pace", body, GATEWAY_TIMEOUT_S)

    def gateway_cpu_s(self) -> float:
        """Return the processor time of the gateway."""
        times = self._gateway.cpu_times()
        return times.user + times.system
