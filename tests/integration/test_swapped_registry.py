"""S2: a registry restored from another backup is refused by workers, pods and scripts.

What their messages and docs/operations.md tell an operator to do is done word for word.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from faults.swapped_registry import fill, serve, swapped
from integration.pods import PodProcess, Servers, run_audit, run_script, script
from integration.workers import ENDED_ITSELF

from infra.stack import ephemeral_stack
from infra.stack.processes import wait_until
from infra.stack.registry import SchemaRegistry
from schemas.topics import SCHEMA_IDS, subjects
from scripts.brokers.addresses import Servers as Addresses
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.processes.workers import Worker
from scripts.traffic.sending import CommandEncoders, CommandSender, schema_ids
from serdes.registry.client import fetch_ids
from state.domain.keys import section_key
from state.kafka.schema_id_log import SchemaIdLog

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

CONFIRM = "io.seatstream.commands.ConfirmReservation"
RELEASE = "io.seatstream.commands.ReleaseReservation"
# More than there are pins: the list beside the log alone knows better on an empty disk.
OTHERS = 100
PLAN = '{"event": "Hall", "sections": [{"section": "A", "rows": 1, "seats": 9}]}'


@dataclass(frozen=True)
class Place:
    """A cluster whose log was written with the first registry."""

    servers: Servers
    registry: SchemaRegistry
    directory: Path

    def worker(self, name: str) -> Worker:
        where = Addresses(self.servers.brokers, self.servers.registry_url)
        return Worker(name, where, self.directory)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("swapped")
    with ephemeral_stack("tests-swapped", parts={"kafka", "registry"}, fast_jit=True) as stack:
        registry = stack._registry
        assert registry is not None
        fill(stack.registry_url, others=OTHERS)
        servers = Servers(stack.kafka_brokers, stack.registry_url, "", folder)
        run_script(servers, "create_topics", "--partitions", "2")
        yield Place(servers, registry, folder)


@pytest.fixture
def place(cluster: Place, tmp_path: Path) -> Place:
    """Give the cluster with a directory that knows nothing of it."""
    return replace(cluster, directory=tmp_path)


def refused(output: str) -> bool:
    return all(
        text in output
        for text in ("ContradictoryIdsError", CONFIRM, RELEASE, "Bring back the registry's own")
    )


def waited(worker: Worker) -> Worker:
    """Start a worker and wait until it is ready, or has ended."""
    worker.start()
    assert wait_until(lambda: worker.is_ready() or worker.exit_code() is not None, 120)
    return worker


def left(worker: Worker) -> None:
    worker.terminate()
    worker.finish()


def test_s2_workers_pods_and_scripts_refuse_a_registry_with_other_ids(place: Place) -> None:
    opens = ("open_event", str(place.directory / "plan.json"), "--event-id")
    (place.directory / "plan.json").write_text(PLAN, encoding="utf-8")
    kept = waited(place.worker("kept"))
    assert kept.is_ready(), kept.log()
    run_script(place.servers, *opens, "7")
    # Something in the log has one of the two ids.
    sender = CommandSender(place.servers.brokers)
    encoders = CommandEncoders(schema_ids(place.servers.registry_url, place.servers.brokers))
    sender.send(section_key(7, "A"), encoders.confirm(encoders.identity("r", "u", "A", 7), 0))
    assert sender.flush() == 0
    # Not at rest until it is decided.
    run_audit(place.servers)
    left(kept)
    cache = place.directory / "kept" / "data" / "schema-ids.json"
    before = cache.read_bytes()
    listed = {one.schema_id: one.record for one in SchemaIdLog(place.servers.brokers).read()}
    assert set(listed.values()) == set(subjects().values())

    with swapped(place.registry, place.directory / "another"):
        fill(place.servers.registry_url, others=OTHERS, exchanged=(CONFIRM, RELEASE))
        ids = fetch_ids(PatientRegistry(place.servers.registry_url, PATIENCE_S))
        assert set(ids.id_by_subject.values()) == set(listed)

        empty = place.worker("empty")
        for worker in (kept, empty):
            assert waited(worker).exit_code() == ENDED_ITSELF
            assert refused(worker.log())
        assert cache.read_bytes() == before
        assert str(cache) in kept.log()
        assert SCHEMA_IDS.name in empty.log()
        assert not (place.directory / "empty" / "data" / "schema-ids.json").exists()

        pod = PodProcess(place.servers, "pod")
        assert wait_until(lambda: not pod.child.is_alive(), 60), pod.child.output()
        assert pod.child.wait(0) == 1
        assert refused(pod.child.output())

        for name, *arguments in ((*opens, "8"), ("audit",)):
            done = script(place.servers, name, *arguments)
            assert done.returncode not in (0, 1), done.stdout
            assert CONFIRM in done.stdout + done.stderr
            assert "Traceback" not in done.stderr

    # The registry's own data are back: whoever refused starts, and nothing had to be deleted.
    for worker in (kept, empty):
        assert waited(worker).is_ready(), worker.log()
        left(worker)
    assert cache.read_bytes() == before


def test_s2_a_registry_whose_data_are_lost_is_filled_by_the_list_of_the_log(place: Place) -> None:
    opens = ("open_event", str(place.directory / "plan.json"), "--event-id")
    (place.directory / "plan.json").write_text(PLAN, encoding="utf-8")
    kept, empty = place.worker("kept"), place.worker("empty")
    assert waited(kept).is_ready(), kept.log()
    run_script(place.servers, *opens, "9")
    before = SchemaIdLog(place.servers.brokers).read()
    encoders = CommandEncoders(schema_ids(place.servers.registry_url, place.servers.brokers))
    left(kept)
    # What was taken while nobody decides must not become a dead letter under another registry.
    sender = CommandSender(place.servers.brokers)
    sender.send(section_key(9, "A"), encoders.hold_best(encoders.identity("r9", "u", "A", 9), 2))
    assert sender.flush() == 0

    with swapped(place.registry, place.directory / "fresh"):
        assert waited(kept).exit_code() == ENDED_ITSELF
        assert "NotRegisteredError" in kept.log()
        assert "has lost its data" in kept.log()
        # Whoever registers all the same is told before anything is decided.
        run_script(place.servers, "register_schemas", "register")
        for worker in (kept, empty):
            assert waited(worker).exit_code() == ENDED_ITSELF
            assert "has no such id" in worker.log()
            assert "register --listed" in worker.log()
        assert script(place.servers, "audit").returncode == 3
        done = script(place.servers, "register_schemas", "register", "--listed")
        assert done.returncode == 2
        assert "is not empty" in done.stderr
        # "Stop this registry": who has ids of a former start sells without one, who has none
        # is told so.
        place.registry.kill()
        assert waited(kept).is_ready(), kept.log()
        assert waited(empty).exit_code() == ENDED_ITSELF
        assert "is not that of the log" in empty.log()
        left(kept)
        serve(place.registry, place.directory / "another")
        done = script(place.servers, "register_schemas", "register", "--listed")
        assert done.returncode == 0, done.stderr
        for worker in (kept, empty):
            assert waited(worker).is_ready(), worker.log()
        assert "held 2" in run_audit(place.servers)
        for worker in (kept, empty):
            left(worker)
    assert SchemaIdLog(place.servers.brokers).read() == before
