"""How fast workers take a backlog: commands preloaded, workers started, watched to the end.

What is counted are committed decisions, by the group's committed offsets: the broker is asked, so
watching costs the workers nothing. Start-up and the first tenth of the commands are left out.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.figures import Run
from benchmarks.measuring.process import labelled
from benchmarks.measuring.progress import Progress
from benchmarks.pod_runs.arena import Holds, openings
from benchmarks.seat_runs.worker import Worker, Workers
from schemas.topics import RESERVATION_OUTCOMES, SEATS_CHANGELOG, SECTION_STATUS

POLL_S = 0.05
STALL_S = 60.0
LEFT_OUT = 0.1
# From a commit to the metrics that count it.
METRICS_TIMEOUT_S = 10.0

_TRANSACTIONS = "seatstream_transaction_records_count"
_RECORDS = "seatstream_transaction_records_sum"
_DECISIONS = "seatstream_decisions_total"
_DEAD = "seatstream_dead_letters_total"


class Sample(NamedTuple):
    """What was seen at one moment."""

    at_s: float
    done: int
    worker_cpu_s: float
    broker_cpu_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain: its figures, and the decisions of the worker by reason."""

    run: Run
    decisions: Mapping[str, int]


def watch(
    cluster: Cluster,
    worker: Worker | Workers,
    done: Callable[[], int],
    total: int,
    progress: Progress,
    *,
    limit_s: float = float("inf"),
    may_begin: Callable[[], bool] = lambda: True,
    at_window_start: Callable[[], None] = lambda: None,
) -> list[Sample]:
    """Return samples from the first tenth on, until all is done or `limit_s` of them are there.

    may_begin: asked behind the first tenth; the first sample is taken when it says so.
    Raises BenchmarkFailed when nothing moves for a minute or the worker ends.
    """
    window: list[Sample] = []
    last, moved_s = -1, time.monotonic()
    while True:
        worker.must_live()
        count = done()
        now = time.monotonic()
        progress.position(count, total)
        if count != last:
            last, moved_s = count, now
            if window or (count >= LEFT_OUT * total and may_begin()):
                if not window:
                    at_window_start()
                window.append(Sample(now, count, worker.cpu_s(), cluster.cpu_s(), worker.rss_mb()))
                if count >= total or now - window[0].at_s > limit_s:
                    return window
        elif now - moved_s > STALL_S:
            raise worker.failed(f"nothing decided for {STALL_S:.0f} s at {count:,} of {total:,}")
        time.sleep(POLL_S)


def rates(window: Sequence[Sample]) -> dict[str, float]:
    """Return decisions a second and processor time a decision, between first and last sample."""
    first, last = window[0], window[-1]
    decided = last.done - first.done
    if not decided:
        raise BenchmarkFailed("too few commands: they were all decided between two looks")
    return {
        "decisions_per_s": decided / (last.at_s - first.at_s),
        "worker_cpu_us": (last.worker_cpu_s - first.worker_cpu_s) / decided * 1e6,
        "broker_cpu_us": (last.broker_cpu_s - first.broker_cpu_s) / decided * 1e6,
    }


def preload(cluster: Cluster, holds: Holds, progress: Progress) -> None:
    """Make the topics anew and fill the command topic: every section's opening, then the holds."""
    cluster.fresh_topics()
    cluster.preload(openings(holds.arena, cluster.encoders))
    started = time.monotonic()
    sent = cluster.preload(holds.commands(cluster.encoders))
    progress.step(f"  {sent:,} commands preloaded in {time.monotonic() - started:.1f} s")


def drain(
    cluster: Cluster, workers: Workers, group: str, progress: Progress, settle_s: float
) -> Drained:
    """Watch workers that were just started until they have decided all that the topic holds."""
    targets = cluster.ends()

    before: dict[str, float] = {}
    with cluster.positions(group) as positions:

        def done() -> int:
            # The workers' own ticks lie behind the targets.
            return sum(map(min, positions.committed(), targets))

        window = watch(
            cluster,
            workers,
            done,
            sum(targets),
            progress,
            may_begin=workers.share,
            at_window_start=lambda: before.update(workers.metrics()),
        )
    total = sum(targets)
    after = _metrics_of_all(workers, total)
    transactions = after[_TRANSACTIONS] - before.get(_TRANSACTIONS, 0.0)
    records = after[_RECORDS] - before.get(_RECORDS, 0.0)
    decisions = {name: int(count) for name, count in labelled(after, _DECISIONS).items()}
    if dead := labelled(after, _DEAD):
        raise workers.failed(f"dead letters in a benchmark: {dead}")
    time.sleep(settle_s)
    run = {
        **rates(window),
        "transactions": transactions,
        "records_per_transaction": records / max(1.0, transactions),
        "held": float(decisions.get("HELD", 0)),
        "not_held": float(sum(decisions.values()) - decisions.get("HELD", 0)),
        "rss_settled_mb": workers.rss_mb(),
        "rss_most_mb": max(sample.rss_mb for sample in window),
        "changelog_bytes_per_command": cluster.bytes_on_disk(SEATS_CHANGELOG.name) / total,
        "outcome_bytes_per_command": cluster.bytes_on_disk(RESERVATION_OUTCOMES.name) / total,
        "status_bytes_per_command": cluster.bytes_on_disk(SECTION_STATUS.name) / total,
    }
    progress.step(f"  {run['decisions_per_s']:,.0f} decisions/s")
    return Drained(run, decisions)


def _metrics_of_all(workers: Workers, total: int) -> dict[str, float]:
    """Return the metrics as soon as they count every decision."""
    deadline = time.monotonic() + METRICS_TIMEOUT_S
    while True:
        metrics = workers.metrics()
        decided = sum(labelled(metrics, _DECISIONS).values())
        if decided >= total:
            return metrics
        if time.monotonic() > deadline:
            raise workers.failed(f"{decided:,.0f} decisions of {total:,} commands")
        time.sleep(POLL_S)


def preload_and_drain(
    cluster: Cluster,
    holds: Holds,
    group: str,
    data_dir: Path,
    progress: Progress,
    *,
    settle_s: float,
    count: int = 1,
) -> Drained:
    """Measure one drain on empty topics and empty stores; nothing of it runs afterwards.

    settle_s: what the workers get, before their memory is read, to flush their stores.
    count:    workers; where there are several, each has its stores in a directory of its own.
    """
    preload(cluster, holds, progress)
    with ExitStack() as running:
        started = []
        for number in range(1, count + 1):
            name = f"bench-{number}"
            place = data_dir if count == 1 else data_dir / name
            worker = Worker.of_topology(cluster, group, place, instance=name)
            started.append(running.enter_context(worker))
        workers = Workers(started)
        drained = drain(cluster, workers, group, progress, settle_s)
        workers.stop()
    return drained
