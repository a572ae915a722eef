"""An event sold through the booking queue, from the first wish until its last seat is sold.

A broker, a worker of the seats, and a pod that serves the queue over gRPC and carries it out. When
all buyers know what came of their wishes, a shop confirms what is held, as after a payment; then
the whole log is judged, with the queue in Redis.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.figures import Run
from benchmarks.measuring.progress import Progress
from benchmarks.pod_runs.api_pod import ApiPod, Users
from benchmarks.pod_runs.arena import EVENT_ID, Arena, Command
from benchmarks.queue_runs.buyers import Buyer, Crowd, Seen, Told, bought, figures, parted
from benchmarks.room_runs.side_by_side import side_by_side
from benchmarks.seat_runs.paced import open_sections
from benchmarks.seat_runs.seen import SOLD, outcomes_named, wait_seen
from benchmarks.seat_runs.worker import Worker
from infra.stack.ports import free_ports
from scripts.auditing.apart.processes import audit_apart
from scripts.auditing.report import Report, as_text
from scripts.brokers.addresses import Servers
from state.domain.keys import section_key
from state.redis.client import client_of

REST_S: Final = 60.0
REDIS_TIMEOUT_S: Final = 30.0
LATE_S: Final = 60.0
"""How much longer than its most patient buyer a crowd may take."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a sale is. queue: what keeps the booking queue, redis or kafka."""

    arena: Arena = field(default_factory=lambda: Arena(5, rows=20, seats_per_row=50))
    crowd: Crowd = field(default_factory=Crowd)
    queue: str = "redis"

    def document(self) -> dict[str, Any]:
        """Return all of it by name, as it stands in the result."""
        arena = self.arena
        return {
            "seats": arena.seats,
            "sections": arena.sections,
            "queue": self.queue,
            **asdict(self.crowd),
        }


QUICK: Final = Sizes(
    Arena(2, rows=2, seats_per_row=10),
    Crowd(clients=80, within_s=0.2, processes=1, at_once=16, patience_s=60.0),
)


class Sale:
    """One sale on a cluster; what was there before is deleted.

    reasons: why wishes were refused, and how many.
    """

    def __init__(
        self, cluster: Cluster, directory: Path, sizes: Sizes, seed: int, progress: Progress
    ) -> None:
        self.reasons: Counter[str] = Counter()
        self._cluster = cluster
        self._directory = directory
        self._sizes = sizes
        self._seed = seed
        self._progress = progress
        self._users = Users(directory)

    def run(self) -> Run:
        """Sell all seats and return the figures; raises BenchmarkFailed."""
        cluster, group = self._cluster, self._directory.name
        cluster.fresh_topics()
        asyncio.run(_emptied(cluster.redis_url))
        with Worker.of_topology(cluster, group, self._directory / "worker") as worker:
            worker.wait_ready()
            open_sections(cluster, self._sizes.arena, group, worker)
            (port,) = free_ports(1)
            with self._pod(group, port) as pod:
                pod.wait_ready()
                found = self._bought(pod, worker, f"127.0.0.1:{port}")
                pod.stop()
            found |= self._audited(group, worker)
            worker.stop()
        return found

    def _pod(self, group: str, port: int) -> ApiPod:
        return ApiPod(
            self._cluster,
            self._users,
            self._directory / "pod",
            app_id=group,
            REDIS_URL=self._cluster.redis_url,
            SEATSTREAM_API_GRPC_PORT=str(port),
            SEATSTREAM_API_BOOKING_QUEUE=self._sizes.queue,
            # As they are by default; that of the network is none, as all come from one address.
            SEATSTREAM_API_LIMIT_CREATE="5/min",
            SEATSTREAM_API_LIMIT_POSITION="60/min",
        )

    def _bought(self, pod: ApiPod, worker: Worker, address: str) -> dict[str, float]:
        """Have all buyers come, and those who hold a seat pay for it."""
        crowd = self._sizes.crowd
        self._progress.step(f"  {crowd.clients:,} buyers of {self._sizes.arena.seats:,} seats")
        parts = enumerate(parted(self._buyers(), crowd))
        each = [(address, part, crowd, self._seed + number) for number, part in parts]
        limit_s = crowd.within_s + crowd.patience_s + LATE_S
        before = (worker.cpu_s(), pod.cpu_s(), self._cluster.cpu_s())
        seen: Sequence[Seen] = asyncio.run(side_by_side(bought, each, limit_s))
        after = (worker.cpu_s(), pod.cpu_s(), self._cluster.cpu_s())
        found = figures(seen)
        told = [one for those in seen for one in those.told]
        self.reasons = Counter(one.reason for one in told if not one.reservation_id)
        for name, began, ended in zip(("worker", "pod", "broker"), before, after, strict=True):
            found[f"{name}_cpu_percent"] = (ended - began) / found["all_told_s"] * 100
        found["pod_rss_mb"] = pod.rss_mb()
        found["paid_s"] = self._paid([one for one in told if one.reservation_id], worker)
        return found

    def _buyers(self) -> list[Buyer]:
        names = self._sizes.arena.names()
        users = [f"buyer-{number:06}" for number in range(self._sizes.crowd.clients)]
        return [
            Buyer(user, self._users.token_for(user), names[number % len(names)])
            for number, user in enumerate(users)
        ]

    def _paid(self, held: Sequence[Told], worker: Worker) -> float:
        """Sell to everybody what they hold; return the seconds until all of it is sold."""
        encoders = self._cluster.encoders
        began_s = time.monotonic()
        with outcomes_named(self._cluster, SOLD) as reader:
            self._cluster.preload(
                Command(
                    one.reservation_id,
                    section_key(EVENT_ID, one.buyer.section),
                    encoders.confirm(
                        encoders.identity(
                            one.reservation_id, one.buyer.name, one.buyer.section, EVENT_ID
                        ),
                        1,
                    ),
                )
                for one in held
            )
            wait_seen(reader, len(held), worker)
        return time.monotonic() - began_s

    def _audited(self, group: str, worker: Worker) -> dict[str, float]:
        """Return what an audit counts; raises BenchmarkFailed where the log is not exact."""
        report = self._report(group)
        deadline_s = time.monotonic() + REST_S
        while not report.is_at_rest and time.monotonic() < deadline_s:
            worker.must_live()
            time.sleep(1.0)
            report = self._report(group)
        if not report.is_exact:
            raise BenchmarkFailed("\n".join(("the log is not exact:", *as_text(report))))
        return {
            "sold": report.sold,
            "sold_twice": report.sold_twice,
            "left_held": report.held,
            "left_free": report.free,
        }

    def _report(self, group: str) -> Report:
        where = Servers(self._cluster.brokers, self._cluster.registry_url)
        return audit_apart(where, group, None, self._cluster.redis_url)


async def _emptied(url: str) -> None:
    client = client_of(url, timeout_s=REDIS_TIMEOUT_S)
    try:
        await client.flushall()
    finally:
        await client.aclose()
