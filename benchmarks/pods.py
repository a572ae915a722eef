"""Measure one API pod on a real broker, both started for the purpose.

Scenarios (all, without any named):
  lookups       look-ups/s and latency of `GET /v1/events/{event}/availability` while 2,000
                statuses/s flow, and how old the answers are; then the pod's HTTP server alone
  cold_start    start to ready with 100,000 sections, and resident memory
  used_start    the same on a topic that nothing was compacted of yet: 536,000 statuses of 800
                sections
  reservations  `POST .../reservations` until 201, one worker, one pod
  slimming      whole seat maps of 5,000 seats against slim statuses: 1,000 statuses/s, look-ups
                beside them, and as many statuses/s as go

wrk drives the load; without it nothing is measured, and the message says how to get it. Every
figure is the median of the runs, with the least and the most. Nothing is asserted; targets stand
beside the figures. The machine should do nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.pods lookups --runs 5 --out /tmp/pods.json
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import bench as measuring
from benchmarks.measuring.figures import Run, Scenario, Target
from benchmarks.measuring.wrk import Answers, Generator, NoGenerator
from benchmarks.pod_runs.api_pod import API, ApiPod, BenchOfUsers, BrokerOfUsers
from benchmarks.pod_runs.arena import EVENT_ID, Arena
from benchmarks.pod_runs.flowing import (
    Asked,
    Flowing,
    LookUps,
    ask_for_all,
    measure,
    measure_bare,
    measure_flood,
    preload,
    wait_taken_in,
)
from benchmarks.pod_runs.pod_sizes import QUICK, Sizes
from benchmarks.pod_runs.statuses import (
    MAP_TOPIC,
    SEATS,
    Form,
    Hall,
)
from benchmarks.seat_runs.coding import coding_costs
from benchmarks.seat_runs.paced import open_sections
from benchmarks.seat_runs.worker import Worker
from schemas.topics import SECTION_STATUS

EXIT_NO_GENERATOR = 3
MAP_POD = (sys.executable, "-m", "benchmarks.pod_runs.full_map_pod")
PARTITIONS = SECTION_STATUS.partitions
# A folder of a deleted topic is gone at once, for this is 100 MB a second; nothing is compacted
# away before it was read, for records are counted.
MAP_OPTIONS = {
    "file.delete.delay.ms": "0",
    "segment.bytes": str(64 * 2**20),
    "min.compaction.lag.ms": str(3_600_000),
}

# A topic as it was before it was compacted within minutes, or with a cleaner that falls behind.
UNCOMPACTED = {
    "segment.bytes": str(16 * 2**20),
    "min.compaction.lag.ms": str(3_600_000),
}

# What is told of statuses that flow while only the probe asks, and with the load beside it.
ALONE = (
    "updates_per_s",
    "append_to_answer_p50_ms",
    "append_to_answer_p99_ms",
    "true_staleness_p99_ms",
    "never_answered",
    "pod_cpu_percent",
    "broker_cpu_percent",
)
BESIDE = (
    "lookups_per_s",
    "p50_ms",
    "p99_ms",
    "updates_per_s",
    "append_to_answer_p99_ms",
    "never_answered",
)


class Bench(BenchOfUsers[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    def __init__(self, sizes: Sizes, runs: int, seed: int, *, is_quick: bool) -> None:
        super().__init__(sizes, runs, seed, is_quick=is_quick)
        self._generator = Generator.found()

    def versions(self) -> dict[str, str]:
        """Return the versions of what is measured, and of what asks it."""
        return super().versions() | {"wrk": self._generator.version()}

    # --- scenarios -------------------------------------------------------------------------

    def lookups(self) -> Scenario:
        sizes = self.sizes
        broker = self._fresh_broker()
        return Scenario(
            "lookups",
            "availability of whole events while statuses flow",
            {
                **_described(sizes.hall),
                "updates_per_s": sizes.updates_per_s,
                "connections": sizes.connections,
                "warm_up_s": sizes.warm_up_s,
                "seconds": sizes.seconds,
            },
            self._repeated("lookups", lambda: self._lookups_run(broker)),
            (
                Target("lookups_per_s", at_least=20_000),
                Target("p99_ms", at_most=5),
                Target("append_to_answer_p99_ms", at_most=500),
                Target("true_staleness_p99_ms", at_most=500),
                Target("claimed_staleness_p99_ms", at_most=500),
                Target("claims_too_young", at_most=0),
            ),
        )

    def cold_start(self) -> Scenario:
        hall = self.sizes.large
        cluster = self._fresh_broker().cluster
        cluster.fresh_topics()
        with self._pod() as pod:
            pod.wait_ready()
            time.sleep(self.sizes.settle_s)
            rss_empty_mb = pod.rss_mb()
            pod.stop()
        self.progress.step(f"cold_start: {hall.sections:,} sections")
        preload(cluster, hall, Form.SLIM)
        runs = [
            {**run, "rss_without_sections_mb": rss_empty_mb}
            for run in self._repeated("cold_start", self._cold_run)
        ]
        return Scenario(
            "cold_start",
            "start of the process to ready, and resident memory",
            {**_described(hall), "statuses": hall.sections},
            runs,
            (Target("ready_s", at_most=5),),
        )

    def used_start(self) -> Scenario:
        hall, versions = self.sizes.hall, self.sizes.used_versions
        cluster = self._fresh_broker().cluster
        cluster.fresh_topics()
        cluster.delete_topics([SECTION_STATUS.name])
        cluster.create_compacted([SECTION_STATUS.name], PARTITIONS, UNCOMPACTED)
        self.progress.step(f"used_start: {hall.sections:,} sections, {versions} statuses of each")
        statuses = preload(cluster, hall, Form.SLIM, versions)
        return Scenario(
            "used_start",
            "start of the process to ready, on a topic that is in use",
            {**_described(hall), "statuses": statuses},
            self._repeated("used_start", self._used_run),
            (Target("ready_s", at_most=15),),
        )

    def reservations(self) -> Scenario:
        arena = Arena(self.sizes.arena_sections)
        cluster = self._fresh_broker().cluster
        statuses: dict[int, int] = {}
        runs = self._repeated("reservations", lambda: self._reservations_run(arena, statuses))
        return Scenario(
            "reservations",
            "POST until 201: one worker, one pod",
            {
                "sections": arena.sections,
                "seats_per_section": arena.rows * arena.seats_per_row,
                "party_sizes": [1, 2, 3, 4],
                "connections": list(self.sizes.reserving),
                "seconds": self.sizes.reserving_s,
            },
            runs,
            notes={
                "answers of all runs by status": dict(sorted(statuses.items())),
                "commands in the log": sum(cluster.ends()),
            },
        )

    def slimming(self) -> Scenario:
        sizes = self.sizes
        broker = self._fresh_broker()
        return Scenario(
            "slimming",
            f"seat maps of {SEATS:,} seats against slim statuses",
            {
                **_described(sizes.slimming_hall),
                "updates_per_s": sizes.slimming_per_s,
                "connections": sizes.connections,
                "seconds": sizes.slimming_s,
                "flood_slim": sizes.flood_slim,
                "flood_map": sizes.flood_map,
            },
            self._repeated("slimming", lambda: self._slimming_run(broker)),
            (
                Target("slim_bytes", at_most=50),
                Target("flood_ratio", at_least=3),
                Target("coding_saved_percent", at_least=99),
                Target("slim_updates_per_s", at_least=0.99 * sizes.slimming_per_s),
            ),
        )

    # --- one run ---------------------------------------------------------------------------

    def _lookups_run(self, broker: BrokerOfUsers) -> Run:
        sizes, cluster = self.sizes, broker.cluster
        cluster.fresh_topics()
        preload(cluster, sizes.hall, Form.SLIM)
        with self._pod() as pod:
            pod.wait_ready()
            ask_for_all(pod, broker.users, sizes.hall)
            lookups = LookUps(sizes.connections, sizes.warm_up_s, sizes.seconds)
            asked = Asked(cluster, pod, broker.users, self._generator, self._place("lookups"))
            run: dict[str, float] = {}
            for turn, measuring in ((1, measure), (2, measure_bare)):
                flowing = self._flowing(Form.SLIM, sizes.hall, turn, rate=sizes.updates_per_s)
                run |= measuring(asked, flowing, lookups)
            pod.stop()
        self.progress.step(
            f"  {run['lookups_per_s']:,.0f} look-ups/s, p99 {run['p99_ms']:.1f} ms,"
            f" statuses answered after {run['append_to_answer_p99_ms']:.0f} ms (p99);"
            f" the server alone {run['bare_server_per_s']:,.0f} answers/s"
        )
        return run

    def _cold_run(self) -> Run:
        broker, hall = self._running_broker, self.sizes.large
        with self._pod() as pod:
            ready_s = pod.wait_ready()
            taken_in = pod.statuses_taken_in()
            if taken_in < hall.sections:
                raise pod.failed(f"ready with {taken_in:,.0f} of {hall.sections:,} statuses")
            time.sleep(self.sizes.settle_s)
            rss_mb = pod.rss_mb()
            ask_for_all(pod, broker.users, hall)
            run = {
                "ready_s": ready_s,
                "cpu_until_settled_s": pod.cpu_s(),
                "rss_mb": rss_mb,
                "rss_all_asked_for_mb": pod.rss_mb(),
            }
            pod.stop()
        self.progress.step(f"  ready after {ready_s:.2f} s, {rss_mb:.0f} MB")
        return run

    def _used_run(self) -> Run:
        with self._pod() as pod:
            run = {"ready_s": pod.wait_ready(), "statuses_read": pod.statuses_taken_in()}
            run["cpu_until_ready_s"] = pod.cpu_s()
            pod.stop()
        self.progress.step(f"  ready after {run['ready_s']:.2f} s")
        return run

    def _reservations_run(self, arena: Arena, statuses: dict[int, int]) -> Run:
        sizes, broker = self.sizes, self._running_broker
        cluster = broker.cluster
        cluster.fresh_topics()
        place = self._place("reservations")
        group = place.name
        run: dict[str, float] = {}
        with Worker.of_topology(cluster, group, place / "worker") as worker:
            worker.wait_ready()
            open_sections(cluster, arena, group, worker)
            with self._pod(app_id=group) as pod:
                pod.wait_ready()
                wait_taken_in(pod, arena.sections)
                for connections in sizes.reserving:
                    self._reserve(pod, arena, connections, sizes.warm_up_s)
                    cpu_s = (pod.cpu_s(), worker.cpu_s(), cluster.cpu_s())
                    answers = self._reserve(pod, arena, connections, sizes.reserving_s)
                    used = (pod.cpu_s(), worker.cpu_s(), cluster.cpu_s())
                    for status, count in answers.statuses.items():
                        statuses[status] = statuses.get(status, 0) + count
                    percent = [
                        (end - begin) / answers.seconds * 100
                        for begin, end in zip(cpu_s, used, strict=True)
                    ]
                    held = answers.statuses.get(201, 0)
                    found = {
                        "held_per_s": held / answers.seconds,
                        **answers.latency_ms,
                        "not_201": float(sum(answers.statuses.values()) - held),
                        "bad_answers": float(answers.bad),
                        "pod_cpu_percent": percent[0],
                        "worker_cpu_percent": percent[1],
                        "broker_cpu_percent": percent[2],
                    }
                    run |= {f"c{connections}_{name}": value for name, value in found.items()}
                    self.progress.step(
                        f"  {connections} connections: {found['held_per_s']:,.0f} held/s,"
                        f" p99 {found['p99_ms']:.1f} ms"
                    )
                pod.stop()
            worker.stop()
        shutil.rmtree(place)
        return run

    def _reserve(self, pod: ApiPod, arena: Arena, connections: int, seconds: float) -> Answers:
        """Load the pod with reservations, no two under one idempotency key."""
        place = self._place("load")
        return self._generator.drive(
            pod.url,
            "reservations.lua",
            [str(self._running_broker.users.file), place.name, str(arena.sections), str(EVENT_ID)],
            connections=connections,
            seconds=seconds,
            log=place / "wrk.log",
        )

    def _slimming_run(self, broker: BrokerOfUsers) -> Run:
        run = coding_costs(broker.cluster, self.sizes.coding)
        for form in Form:
            found = self._form_run(broker, form)
            run |= {f"{form.value}_{name}": value for name, value in found.items()}
        run["flood_ratio"] = run["slim_flood_per_s"] / run["map_flood_per_s"]
        run["lookups_ratio"] = run["slim_lookups_per_s"] / run["map_lookups_per_s"]
        self.progress.step(
            f"  {run['flood_ratio']:,.1f} times the statuses/s,"
            f" {run['lookups_ratio']:.1f} times the look-ups/s"
        )
        return run

    def _form_run(self, broker: BrokerOfUsers, form: Form) -> Run:
        """Measure one form: paced, alone and beside look-ups, then as fast as it goes.

        Each on topics and with a pod of its own: a pod that fell behind would be minutes late.
        """
        sizes, cluster = self.sizes, broker.cluster
        place = self._place(f"slimming-{form.value}")
        run: dict[str, float] = {}

        def flowing(turn: int, rate: int = 0, count: int = 0) -> Flowing:
            return self._flowing(form, sizes.slimming_hall, turn, rate=rate, count=count)

        for turn, connections in ((1, 0), (2, sizes.connections)):
            with self._form_pod(broker, form) as pod:
                found = measure(
                    Asked(cluster, pod, broker.users, self._generator, place),
                    flowing(turn, rate=sizes.slimming_per_s),
                    LookUps(connections, sizes.warm_up_s, sizes.slimming_s),
                )
            names, prefix = (BESIDE, "asked_") if connections else (ALONE, "")
            run |= {prefix + name: found[name] for name in names if name in found}
        run["lookups_per_s"] = run.pop("asked_lookups_per_s")
        count = sizes.flood_map if form is Form.MAP else sizes.flood_slim
        with self._form_pod(broker, form) as pod:
            run["flood_per_s"] = measure_flood(cluster, pod, flowing(3, count=count), place)
        return run

    @contextmanager
    def _form_pod(self, broker: BrokerOfUsers, form: Form) -> Iterator[ApiPod]:
        """Give a pod of one form that has every section, each published once; kill it."""
        cluster, hall = broker.cluster, self.sizes.slimming_hall
        cluster.delete_topics(cluster.topics_named(MAP_TOPIC))
        cluster.fresh_topics()
        if form is Form.MAP:
            cluster.create_compacted([MAP_TOPIC], PARTITIONS, MAP_OPTIONS)
        preload(cluster, hall, form)
        with self._pod(command=MAP_POD if form is Form.MAP else API) as pod:
            pod.wait_ready()
            ask_for_all(pod, broker.users, hall)
            yield pod

    # --- shared ----------------------------------------------------------------------------

    def _pod(self, *, app_id: str = "benchmark-none", command: Sequence[str] = API) -> ApiPod:
        broker = self._running_broker
        place = self._place("pod")
        return ApiPod(broker.cluster, broker.users, place, app_id=app_id, command=command)

    def _flowing(
        self, form: Form, hall: Hall, turn: int, *, rate: int = 0, count: int = 0
    ) -> Flowing:
        return Flowing(form, hall, turn, str(self._seed), rate, count)

    def _place(self, kind: str) -> Path:
        """Return a new directory; its name is one for a group too."""
        self._serial += 1
        place = self._running_broker.directory / f"{kind}-{self._serial}"
        place.mkdir()
        return place

    @property
    def _running_broker(self) -> BrokerOfUsers:
        assert self._broker is not None, "no broker runs"
        return self._broker


def _described(hall: Hall) -> dict[str, Any]:
    return {"events": hall.events, "sections_per_event": hall.sections_per_event}


# In the order they are run.
SCENARIOS = measuring.by_name(
    Bench.lookups, Bench.cold_start, Bench.used_start, Bench.reservations, Bench.slimming
)


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add what only look-ups ask for."""
    parser.add_argument("--connections", type=int, help="of the look-ups' load (default 32)")
    parser.add_argument("--seconds", type=float, help="of one measurement of look-ups (20)")


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return how much is asked for."""
    sizes = QUICK if options.quick else Sizes()
    if options.connections:
        sizes = replace(sizes, connections=options.connections)
    if options.seconds:
        sizes = replace(sizes, seconds=options.seconds)
    return sizes


COMMAND = measuring.Command("pods", __doc__, "statuses", Bench, sizes_of, SCENARIOS, more_options)
parse = COMMAND.parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; write the result file after each; print tables."""
    try:
        return COMMAND.main(arguments)
    except NoGenerator as error:
        print(f"benchmarks.pods: {error}", file=sys.stderr)
        return EXIT_NO_GENERATOR


if __name__ == "__main__":
    sys.exit(main())
