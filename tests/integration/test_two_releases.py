"""F29, F88: a second version of two records is rolled out over a log that goes on.

Both releases are processes of their own: this one, and the next (`support.records.next_release`).
Workers, pods and producers of both run beside one another, and read what either wrote.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from integration.pods import PodProcess, Servers, at_rest
from integration.workers import read_committed
from support.records.next_release import FIELDS, HOLD, STATUS, next_release
from support.registries.filled import stack_with_schemas

from infra.paths import ROOT
from infra.stack.processes import wait_until
from schemas.topics import SECTION_COMMANDS, SECTION_STATUS, TOPICS, Topic
from scripts.brokers import addresses
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.topics import carry_out, plan
from scripts.processes.workers import Supervisor, Worker
from scripts.sale.setting_up import running
from serdes.wire import HEADER_BYTES

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

EVENT = 31
PARTITIONS = 2
SUBJECTS = {
    HOLD: f"{SECTION_COMMANDS.name}-io.seatstream.commands.HoldBestAvailable",
    STATUS: f"{SECTION_STATUS.name}-io.seatstream.status.SectionStatusEvent",
}


@dataclass(frozen=True, slots=True)
class Rollout:
    """Two workers of this release, and the folder of the next one."""

    servers: Servers
    workers: list[Worker]
    supervisor: Supervisor
    next: Path

    def done(self, root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a script of a release."""
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=root,
            env=self.servers.variables() | {"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def told(self, root: Path, *words: str) -> dict[str, Any]:
        """Return what a script of a release prints."""
        done = self.done(root, *words, "--json")
        logs = "\n".join(worker.log() for worker in self.workers)
        assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}\n{logs}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def sell(self, root: Path, plan: Path, seed: int) -> None:
        """Sell by the producer of a release."""
        load = ("--event-id", str(EVENT), "--plan", str(plan), "--seed", str(seed))
        many = ("--commands", "120", "--flat-out", "--wait", "200")
        assert self.told(root, "scripts.load_test", *load, *many)["missing"] == 0

    def roll(self, worker: Worker) -> None:
        """End a worker in order, and start it as the next release."""
        self.supervisor.away.add(worker.name)
        worker.terminate()
        assert wait_until(lambda: worker.exit_code() is not None, 120), worker.log()
        worker.root = self.next
        worker.start()
        self.supervisor.away.discard(worker.name)
        assert wait_until(worker.is_ready, 120), worker.log()

    def written_by(self, topic: Topic, schema_id: int) -> list[bytes]:
        """Return the values of a topic that have this schema id."""
        records = read_committed(self.servers.brokers, topic.name, PARTITIONS)
        header = b"\0" + schema_id.to_bytes(4, "big")
        return [one.value for one in records if one.value and one.value[:HEADER_BYTES] == header]


@pytest.fixture
def rollout(tmp_path: Path) -> Iterator[Rollout]:
    with stack_with_schemas("test-releases") as stack:
        admin = AdminClient({"bootstrap.servers": stack.kafka_brokers, "log_level": 2})
        carry_out(admin, plan(TOPICS, {}, PARTITIONS))
        where = addresses.Servers(stack.kafka_brokers, stack.registry_url)
        roles = {"SEATSTREAM_ROLES": "seats"}
        workers = [Worker(name, where, tmp_path, roles) for name in ("one", "two")]
        supervisor = Supervisor(workers)
        servers = Servers(stack.kafka_brokers, stack.registry_url, "", tmp_path)
        with running(workers):
            supervisor.wait_until_ready(120)
            yield Rollout(servers, workers, supervisor, next_release(tmp_path))


def version_of(url: str, subject: str, version: int) -> dict[str, Any]:
    found: dict[str, Any] = PatientRegistry(url, PATIENCE_S).call(
        "GET", f"subjects/{subject}/versions/{version}"
    )
    return found


def test_f29_f88_a_second_version_of_two_records_is_rolled_out_over_a_log_that_goes_on(
    rollout: Rollout, tmp_path: Path
) -> None:
    plan, url = tmp_path / "plan.json", rollout.servers.registry_url
    sections = [{"section": f"A{n}", "rows": 12, "seats": 40} for n in range(6)]
    plan.write_text(json.dumps({"event": "Hall", "sections": sections}))
    rollout.sell(ROOT, plan, 1)
    pods = [PodProcess(rollout.servers, "old").wait_ready()]
    try:
        # What a release does: its schemas are kept, checked with all before them, and registered.
        assert rollout.told(rollout.next, "scripts.register_schemas", "release", "v9")
        assert rollout.done(rollout.next, "scripts.register_schemas", "register").returncode == 0
        old, new = (
            {name: version_of(url, subject, number) for name, subject in SUBJECTS.items()}
            for number in (1, 2)
        )
        for name, field in FIELDS.items():
            last = json.loads(new[name]["schema"])["fields"][-1]
            assert last["name"] == field["name"]
        rollout.roll(rollout.workers[0])
        pods.append(PodProcess(replace(rollout.servers, root=rollout.next), "new").wait_ready())
        with ThreadPoolExecutor(2) as threads:
            selling = [
                threads.submit(rollout.sell, root, plan, seed)
                for seed, root in ((2, ROOT), (3, rollout.next))
            ]
            for one in selling:
                one.result(300)
        holds, statuses = (
            [rollout.written_by(topic, version[name]["id"]) for version in (old, new)]
            for topic, name in ((SECTION_COMMANDS, HOLD), (SECTION_STATUS, STATUS))
        )
        # Golden bytes of both: the field more lies behind what the older release wrote.
        assert {value[-4:] for value in holds[1]} == {b"\x06web"}
        assert not any(value.endswith(b"\x06web") for value in holds[0])
        assert all([*holds, *statuses])
        rollout.roll(rollout.workers[1])
        rollout.sell(ROOT, plan, 4)
        for root in (ROOT, rollout.next):
            done = at_rest(partial(rollout.done, root, "scripts.audit", "--json"))
            report = json.loads(done.stdout)
            assert (done.returncode, report["verdict"], report["violations"]) == (0, "exact", 0)
            # The same log leads to the same state by the code of either.
            again = rollout.told(root, "scripts.program", "replay")
            assert (again["exact"], again["since_the_beginning"]) == (True, True), again
        assert seen_by(pods[0]) == seen_by(pods[1])
        told = [pod.create(EVENT, f"key-{at}", "A1").status_code for at, pod in enumerate(pods)]
        assert told == [201, 201]
    finally:
        for pod in pods:
            pod.end()


def seen_by(pod: PodProcess) -> dict[str, Any]:
    """Return what a pod tells of each section, but for its age."""
    told = pod.client.get(f"/v1/events/{EVENT}/availability").json()
    return {
        one["section"]: {name: one[name] for name in ("free", "held", "largest_block", "version")}
        for one in told["sections"]
    }
