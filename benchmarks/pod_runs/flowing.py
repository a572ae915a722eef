"""Statuses that flow to a pod while it is asked: preloaded, paced, or as fast as it goes."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import orjson
from confluent_kafka import Producer

from benchmarks.measuring.ages import Publications, ages_of, figures_of
from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.phases import Phased
from benchmarks.measuring.wrk import Answers, Generator
from benchmarks.pod_runs.api_pod import ApiPod, Asking, BareServer, Listening, Probe, Users
from benchmarks.pod_runs.statuses import Form, Hall, StatusWriter

READY_TIMEOUT_S = 60.0
DONE_TIMEOUT_S = 60.0
# Seat maps of 100 kB each: a pod takes in some 80 a second.
TAKEN_IN_TIMEOUT_S = 120.0
POLL_S = 0.02
PROBE_PERIOD_S = 0.004
PROBED_EVENT = 1
# So long the probe goes on asking for what was published last, where the pod has fallen behind.
AFTERWARDS_MAX_S = 20.0
# Between the first versions of two flows of a stack.
VERSIONS_APART = 1_000_000


@dataclass(frozen=True, slots=True)
class Flowing:
    """What flows.

    rate:  statuses a second; 0 as fast as it goes, `count` of them.
    turn:  the how many-th flow of its topic, from 1: versions rise with it.
    """

    form: Form
    hall: Hall
    turn: int
    seed: str
    rate: int = 0
    count: int = 0


class StatusFlow(Phased):
    """A running `benchmarks.pod_runs.status_flow`; killed when the block is left."""

    def __init__(self, cluster: Cluster, flowing: Flowing, directory: Path) -> None:
        hall = flowing.hall
        name = f"statuses-{flowing.form.value}-{flowing.turn}"
        self._out = directory / name
        command = [
            *(sys.executable, "-m", "benchmarks.pod_runs.status_flow"),
            *("--brokers", cluster.brokers, "--registry", cluster.registry_url),
            *("--form", flowing.form.value, "--events", str(hall.events)),
            *("--sections-per-event", str(hall.sections_per_event)),
            *("--first-version", str(flowing.turn * VERSIONS_APART)),
            *("--rate", str(flowing.rate), "--count", str(flowing.count)),
            *("--seed", flowing.seed, "--out", str(self._out)),
        ]
        super().__init__("the flow of statuses", command, directory / f"{name}.log")

    def ended(self, pod: ApiPod) -> tuple[Publications, Mapping[str, float]]:
        """End it; return what it published and what it told at its end."""
        self.end()
        told = self.wait("done", DONE_TIMEOUT_S, pod)
        return Publications.read(self._out), told


def preload(cluster: Cluster, hall: Hall, form: Form, versions: int = 1) -> int:
    """Publish versions from 1 on of every section; return how many, all acknowledged."""
    writer = StatusWriter(hall, form, cluster.ids)
    producer = Producer(
        {
            "bootstrap.servers": cluster.brokers,
            "enable.idempotence": True,
            "linger.ms": 20,
            "queue.buffering.max.kbytes": 256 * 1024,
            "log_level": 2,
        }
    )
    as_of_ms = time.time_ns() // 1_000_000
    for version, number in product(range(1, versions + 1), range(hall.sections)):
        value = writer.value(number, version, as_of_ms)
        while True:
            try:
                producer.produce(form.topic, value, writer.keys[number], writer.partitions[number])
            except BufferError:
                producer.poll(0.05)
            else:
                break
        producer.poll(0)
    if missing := producer.flush(60):
        raise BenchmarkFailed(f"{missing} statuses not acknowledged")
    return hall.sections * versions


def wait_taken_in(pod: ApiPod, count: float) -> None:
    """Return when the pod has read so many statuses; raises BenchmarkFailed."""
    deadline = time.monotonic() + TAKEN_IN_TIMEOUT_S
    while (seen := pod.statuses_taken_in()) < count:
        pod.must_live()
        if time.monotonic() > deadline:
            raise pod.failed(f"the pod has taken in {seen:,.0f} of {count:,.0f} statuses")
        time.sleep(POLL_S)


def ask_for_all(pod: ApiPod, users: Users, hall: Hall) -> None:
    """Ask for every event once, so that the pod has every answer ready."""
    with Asking(pod, users.token) as asking:
        for event_id in range(1, hall.events + 1):
            found = orjson.loads(asking.availability(event_id))
            if len(found["sections"]) != hall.sections_per_event:
                raise pod.failed(f"event {event_id} has {len(found['sections'])} sections")


@dataclass(frozen=True, slots=True)
class LookUps:
    """How a pod is asked.

    connections: of the load generator; 0: only the probe asks.
    """

    connections: int
    warm_up_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A ready pod, its cluster, and who asks it with what; logs of that go to the directory."""

    cluster: Cluster
    pod: ApiPod
    users: Users
    generator: Generator
    directory: Path


def _answers_of(
    server: Listening,
    asked: Asked,
    flowing: Flowing,
    lookups: LookUps,
    seconds: float,
    log: Path,
) -> Answers:
    """Ask a server for the availability of all events in turn."""
    return asked.generator.drive(
        server.url,
        "lookups.lua",
        [str(asked.users.file), str(flowing.hall.events)],
        connections=lookups.connections,
        seconds=seconds,
        log=log,
    )


def measure(asked: Asked, flowing: Flowing, lookups: LookUps) -> dict[str, float]:
    """Ask a ready pod while statuses flow; return rates, latencies, ages and processor use."""
    cluster, pod, directory = asked.cluster, asked.pod, asked.directory

    def drive(seconds: float, name: str) -> dict[str, float]:
        if not lookups.connections:
            time.sleep(seconds)
            return {}
        log = directory / f"wrk-{flowing.form.value}-{flowing.turn}-{name}.log"
        return _answers_of(pod, asked, flowing, lookups, seconds, log).figures("lookups")

    probe = Probe(
        pod, asked.users.token, flowing.hall, event_id=PROBED_EVENT, period_s=PROBE_PERIOD_S
    )
    with StatusFlow(cluster, flowing, directory) as flow:
        flow.wait("ready", READY_TIMEOUT_S, pod)
        drive(lookups.warm_up_s, "warm-up")
        before = (pod.cpu_s(), cluster.cpu_s(), flow.cpu_s())
        with probe:
            from_ns = time.monotonic_ns()
            figures = drive(lookups.seconds, "counted")
            until_ns = time.monotonic_ns()
            after = (pod.cpu_s(), cluster.cpu_s(), flow.cpu_s())
            rss_mb = pod.rss_mb()
            published, told = flow.ended(pod)
            # Otherwise only the records that came soon would be measured.
            probe.wait_for(published.last_versions(), AFTERWARDS_MAX_S)
        answers = probe.end()
    took_s = (until_ns - from_ns) / 1e9
    used = [(end - begin) / took_s * 100 for begin, end in zip(before, after, strict=True)]
    if figures:
        figures["pod_cpu_us"] = used[0] * 1e4 / figures["lookups_per_s"]
    return {
        **figures,
        "updates_per_s": published.within(from_ns, until_ns) / took_s,
        **figures_of(ages_of(published, answers, from_ns, until_ns)),
        "flow_late_ms": told["late_ms"],
        "published": float(told["sent"]),
        "pod_cpu_percent": used[0],
        "broker_cpu_percent": used[1],
        "flow_cpu_percent": used[2],
        "pod_rss_mb": rss_mb,
    }


def measure_bare(asked: Asked, flowing: Flowing, lookups: LookUps) -> dict[str, float]:
    """Load the pod's HTTP server with nothing behind it, as `measure` loads the pod.

    The pod is there, reads the same flow and is asked for nothing.
    """
    pod, directory = asked.pod, asked.directory
    with Asking(pod, asked.users.token) as asking:
        body_bytes = len(asking.availability(PROBED_EVENT))
    with (
        BareServer(directory, body_bytes=body_bytes) as server,
        StatusFlow(asked.cluster, flowing, directory) as flow,
    ):
        server.wait_answered("")
        flow.wait("ready", READY_TIMEOUT_S, pod)
        _, answers = [
            _answers_of(server, asked, flowing, lookups, seconds, directory / f"{name}.log")
            for name, seconds in (
                ("wrk-bare-warm-up", lookups.warm_up_s),
                ("wrk-bare-counted", lookups.seconds),
            )
        ]
        flow.ended(pod)
    if answers.bad:
        raise server.failed(f"{answers.bad} bad answers")
    return {
        "bare_server_per_s": answers.requests / answers.seconds,
        **{f"bare_server_{name}": ms for name, ms in answers.latency_ms.items()},
    }


def measure_flood(cluster: Cluster, pod: ApiPod, flowing: Flowing, directory: Path) -> float:
    """Return statuses/s from the first append to the moment when the pod has taken in all."""
    had = pod.statuses_taken_in()
    with StatusFlow(cluster, flowing, directory) as flow:
        flow.wait("ready", READY_TIMEOUT_S, pod)
        wait_taken_in(pod, had + flowing.count)
        end_ns = time.monotonic_ns()
        begin_ns: int = flow.wait("done", DONE_TIMEOUT_S, pod)["begin_ns"]
    return flowing.count / (end_ns - begin_ns) * 1e9
