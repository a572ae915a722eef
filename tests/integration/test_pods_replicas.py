"""F06: too few replicas, on three brokers: nothing that was refused is ever in the log."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from integration.pods import PodProcess, Servers, reason, run_script
from integration.workers import read_committed

from infra.stack import QUICK_RESTART, Stack, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import SECTION_COMMANDS
from state.domain.keys import issued_id, partition_of, section_key, stem_of
from state.views.availability.statuses import STALE_AFTER_MS
from state.views.availability.view import AvailabilityView

# The largest but one, so that it runs beside the demo: its clients take much of the processors.
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

EVENT = 7
PARTITIONS = 3
# A broker that is gone is noticed after so long, instead of 9 s.
QUICK_LEAVE = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "1000"}
WAIT_S = 1


@pytest.fixture(scope="module")
def three() -> Iterator[Stack]:
    with ephemeral_stack(
        "tests-replicas",
        brokers=3,
        parts={"kafka"},
        kafka_properties={**QUICK_RESTART, **QUICK_LEAVE},
        fast_jit=True,
    ) as stack:
        yield stack


def demand_replicas(brokers: str, replicas: int) -> None:
    entry = ConfigEntry(
        "min.insync.replicas", str(replicas), incremental_operation=AlterConfigOpType.SET
    )
    topic = ConfigResource(ResourceType.TOPIC, SECTION_COMMANDS.name, incremental_configs=[entry])

    def is_demanded() -> bool:
        # A new client each time: one may wait for a dead broker that it was told to ask.
        admin = AdminClient({"bootstrap.servers": brokers})
        (answer,) = admin.incremental_alter_configs([topic]).values()
        try:
            answer.result(timeout=5)
        except (TimeoutError, KafkaException):
            return False
        return True

    assert wait_until(is_demanded, 60)


def names_on_each_partition() -> dict[int, str]:
    """Return a section for each partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < PARTITIONS:
        name = f"S-{number}"
        found.setdefault(partition_of(section_key(EVENT, name), PARTITIONS), name)
        number += 1
    return found


SECTIONS = names_on_each_partition()


class Asked:
    """One pod's commands by how they were answered."""

    def __init__(self, pod: PodProcess) -> None:
        self._pod = pod
        self.pending: set[str] = set()
        self.refused: set[str] = set()
        self._numbers = count()

    def ask_all(self) -> set[int]:
        """Ask for a seat on each partition at once; return the statuses."""
        with ThreadPoolExecutor(PARTITIONS) as threads:
            return {answer.status_code for answer in threads.map(self.ask, SECTIONS)}

    def all_appended(self) -> bool:
        """Ask as before; say whether the brokers acknowledged all of it: 202 alone is a hope."""
        before = self._pod.metric("seatstream_commands_appended_total")
        statuses = self.ask_all()
        appended = self._pod.metric("seatstream_commands_appended_total") - before
        owed = self._pod.metric("seatstream_commands_unacknowledged")
        return statuses == {202} and appended >= PARTITIONS and owed == 0

    def ask(self, partition: int) -> httpx.Response:
        """Ask for a seat; nobody decides, so the best answer is that it is pending."""
        key = f"k{next(self._numbers)}"
        # Also where no broker answers: later than its own limit, a client gets an error instead.
        answer = self._pod.create(EVENT, key, SECTIONS[partition], wait_s=WAIT_S)
        reservation_id = issued_id(stem_of("ann", key), partition)
        if answer.status_code == 202:
            self.pending.add(reservation_id)
        else:
            assert reason(answer) == (503, "BROKER_UNAVAILABLE"), answer.text
            assert int(answer.headers["retry-after"]) >= 1
            self.refused.add(reservation_id)
        return answer


def test_a_view_is_fresh_again_when_the_broker_that_it_asked_is_dead_for_good(
    three: Stack, tmp_path: Path
) -> None:
    servers = Servers(three.kafka_brokers, "", "", tmp_path)
    run_script(servers, "create_topics", "--partitions", str(PARTITIONS), "--replication", "3")
    with AvailabilityView(three.kafka_brokers) as view:
        view.wait_ready(60)
        heartbeat = view._feed._heartbeat
        assert heartbeat is not None
        asked = int(heartbeat._admin.list_topics(timeout=10).controller_id)
        three.kill_broker(asked)
        assert wait_until(lambda: view.statistics().heartbeats_failed > 0, 60)
        answered = view.statistics().heartbeats

        def is_fresh() -> bool:
            seen = view.statistics()
            return seen.heartbeats > answered + 15 and seen.staleness_ms < STALE_AFTER_MS

        assert wait_until(is_fresh, 60)
    three.start_broker(asked)


def in_the_log(brokers: str) -> bytes:
    records = read_committed(brokers, SECTION_COMMANDS.name, PARTITIONS)
    return b"\n".join(record.value or b"" for record in records)


def test_f06_too_few_replicas_are_told_in_time_and_what_was_refused_is_never_there(
    three: Stack, tmp_path: Path
) -> None:
    servers = Servers(three.kafka_brokers, "", "", tmp_path)
    run_script(servers, "create_topics", "--partitions", str(PARTITIONS), "--replication", "3")
    pod = PodProcess(servers, "pod").wait_ready()
    asked = Asked(pod)
    try:
        # A broker that an earlier test killed may still be catching up.
        assert wait_until(asked.all_appended, 60)
        # The brokers themselves find the replicas too few: certain, at the first request.
        demand_replicas(three.kafka_brokers, 3)
        three.kill_broker(1)
        assert wait_until(lambda: asked.ask_all() == {503}, 60)
        demand_replicas(three.kafka_brokers, 2)
        assert wait_until(asked.all_appended, 60)
        # No quorum is left that could say so: the first of a partition may be on its way, and
        # the next ones do not follow it.
        three.kill_broker(2)
        assert asked.ask_all() <= {202, 503}
        assert wait_until(lambda: asked.ask_all() == {503}, 60)
        three.start_broker(1)
        assert wait_until(asked.all_appended, 80)
    finally:
        pod.end()
    log = in_the_log(three.kafka_brokers)
    there = {one for one in asked.refused if one.encode() in log}
    assert not there
    # What was pending is there or not, and may be there twice: a client that gives a record up
    # begins a new epoch, and sends again what was behind it. The second is answered as the first.
    # Those of the quiet times are all there.
    assert sum(one.encode() in log for one in asked.pending) >= 3 * PARTITIONS
