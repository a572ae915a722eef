"""The scripts as people run them, on a real broker with a real worker."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from faults.foreign_producer import append, batch, record
from integration.pods import at_rest
from integration.workers import read_committed, run
from support.logs.audit_logs import AVRO, identity
from support.pages.document_pages import DOCS, steps_of
from support.records.full_maps import FREE, HELD, full_map, registered, told_in
from support.redis.key_table import rows_met
from support.registries.filled import stack_with_schemas

from infra.paths import ROOT
from infra.stack import ephemeral_stack
from infra.stack.processes import ProcessId, child_environment, wait_until
from schemas.topics import (
    DEAD_LETTER_QUEUE,
    PAYMENT_EVENTS,
    PURCHASES_CHANGELOG,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.auditing.oracle.seats import Place
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown, committed_offsets, rest
from scripts.brokers.reading import spans_of
from scripts.history.reading import section_log
from scripts.history.timeline import NOW, Seat
from scripts.offsets.moving import committed_at_rest, move_group, settings_for
from scripts.offsets.plan import NOWHERE, At, Move
from scripts.processes.workers import Supervisor, Worker
from scripts.rebuilding import live as live_topic
from scripts.rebuilding.recreating import newest_statuses, states_of
from scripts.sale.faults import draw_faults
from scripts.sale.setting_up import prepare_topics, running
from scripts.sale.table import Display
from scripts.traffic.sending import schema_ids
from serdes.registry.client import Registry
from serdes.schema_source import SchemaSource
from state.domain.keys import partition_of
from state.views.availability.view import AvailabilityView
from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

# Of each topic, in place of the listed 20: a worker has less to take over and to restore.
PARTITIONS = 4
LISTED = ("--partitions", str(PARTITIONS))
SECTIONS = 12
RUNBOOKS = DOCS / "runbooks"
SUMMARY_KEYS = [
    *("commands", "outcomes", "duplicate_outcomes", "seats", "sold", "held", "free"),
    *("sold_twice", "lost", "status_mismatches", "kills", "pauses", "wall_s"),
    *("decisions_per_s", "p50_ms", "p99_ms"),
    *("http_requests", "http_ok", "http_refused", "http_pending", "http_disagreements"),
    *("http_wrong_refusals", "http_stale_answers", "http_p50_ms", "http_p99_ms"),
    "view_mismatches",
    *("payments", "declined", "captured", "refunded", "price_of_sold"),
    *("money_mismatch", "charged_twice", "open_intents", "compensations", "sold_elsewhere"),
    *("carts", "carts_half_held", "locks_left", "held_over_limit"),
    *("purchases", "tickets", "allocations", "slots", "issued_twice", "caches_left"),
]
EXACT = [
    *("held", "free", "sold_twice", "lost", "duplicate_outcomes", "status_mismatches"),
    *("http_disagreements", "http_wrong_refusals", "view_mismatches"),
    *("money_mismatch", "charged_twice", "open_intents", "compensations"),
    *("carts_half_held", "locks_left", "held_over_limit", "issued_twice", "caches_left"),
]


@dataclass(frozen=True, slots=True)
class Live:
    """A stack with a worker, and a way to run scripts against it.

    restarts: what its supervisor said of the worker.
    """

    where: Servers
    worker: Worker | None = None
    restarts: list[str] = field(default_factory=list)
    supervisor: Supervisor | None = None

    def kill_and_start(self, settings: Mapping[str, str] | None = None) -> None:
        """End the worker as a crash would, and start it again, with these settings from now on."""
        assert self.worker is not None
        with self.without_worker():
            self.worker.set(settings or {})

    @contextmanager
    def without_worker(self) -> Iterator[None]:
        """End the worker as a crash would, and start it again behind this."""
        worker, supervisor = self.worker, self.supervisor
        assert worker is not None
        assert supervisor is not None
        supervisor.away.add(worker.name)
        worker.kill()
        assert wait_until(lambda: worker.exit_code() is not None, 60)
        yield
        worker.start()
        supervisor.away.discard(worker.name)

    def has_decided(self, partition: int, behind: int) -> bool:
        """Say whether the commands before an offset are."""
        return committed_offsets(self.where, Settings().app_id).get(partition, 0) >= behind

    def has_decided_all(self) -> bool:
        """Say whether no command waits for the worker."""
        try:
            return not rest(self.where, Settings().app_id).behind
        except OffsetsUnknown:
            return False

    def run(self, script: str, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Return what a script prints; where it ends with another code, show all that was said."""
        return self.result(self.done(script, *arguments), code)

    def audit(self, code: int = 0) -> dict[str, Any]:
        """Return the report on the log at rest."""
        return self.result(at_rest(lambda: self.done("audit")), code)

    def done(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.plain(script, *arguments, "--json")

    def plain(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return run(self.environment(), f"scripts.{script}", *arguments)

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "KAFKA_BROKERS": self.where.brokers,
            "SCHEMA_REGISTRY_URL": self.where.registry_url,
            # Whoever comes after a rebuild that was killed would wait for the end of its lease.
            "REDIS_URL": "",
        }

    def result(self, done: "subprocess.CompletedProcess[str]", code: int) -> dict[str, Any]:
        said = f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, f"{said}\n{self.tail()}"
        result: dict[str, Any] = json.loads(done.stdout or "{}")
        return result

    def tail(self) -> str:
        """Return what became of the worker, and the last lines of its log."""
        if self.worker is None:
            return "no worker"
        restarts = "\n".join(self.restarts)
        return f"{restarts}\nworker, exit code {self.worker.exit_code()}:\n{self.worker.log()}"


@pytest.fixture(scope="module")
def filled_registry() -> Iterator[str]:
    """Give the address of a registry with all schemas."""
    with stack_with_schemas("test-scripts", {"registry"}) as stack:
        yield stack.registry_url


@contextmanager
def prepared_servers(registry_url: str) -> Iterator[Servers]:
    """Give servers with all topics and schemas."""
    with ephemeral_stack("test-scripts", parts={"kafka"}, fast_jit=True) as stack:
        with Display() as display:
            prepare_topics(stack.kafka_brokers, display, PARTITIONS)
        yield Servers(stack.kafka_brokers, registry_url)


@contextmanager
def with_worker(where: Servers, directory: Path) -> Iterator[Live]:
    worker = Worker("worker-1", where, directory)
    restarts: list[str] = []
    supervisor = Supervisor([worker], restarts.append)
    with running([worker]), supervised(supervisor):
        supervisor.wait_until_ready(120)
        yield Live(where, worker, restarts, supervisor)


@pytest.fixture(scope="module")
def live(filled_registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with prepared_servers(filled_registry) as where:
        abort_a_transaction(where.brokers)
        with with_worker(where, tmp_path_factory.mktemp("workers")) as live:
            yield live


@contextmanager
def supervised(supervisor: Supervisor) -> Iterator[None]:
    """Start the worker again whenever it ends itself, as on a machine that stood still."""
    is_over = Event()

    def look_after() -> None:
        while not is_over.wait(0.1):
            supervisor.revive()

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look_after)
        try:
            yield
        finally:
            is_over.set()
    looking.result()


def abort_a_transaction(brokers: str) -> None:
    """Let a stranger begin every partition of the commands with records that nobody will see."""
    producer = Producer({"bootstrap.servers": brokers, "transactional.id": "stranger"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition in range(PARTITIONS):
        producer.produce(SECTION_COMMANDS.name, b"never", b"seen", partition)
    producer.flush(30)
    producer.abort_transaction(30)


def test_b24_the_broker_takes_no_record_of_two_megabytes(live: Live) -> None:
    told: list[KafkaError | None] = []
    # The client's own limit lies above it, so that the broker is the one who refuses.
    producer = Producer(
        {"bootstrap.servers": live.where.brokers, "message.max.bytes": 4 << 20, "acks": "all"}
    )
    producer.produce(
        SECTION_COMMANDS.name, bytes(2 << 20), on_delivery=lambda error, _: told.append(error)
    )
    assert producer.flush(30) == 0
    (error,) = told
    assert error is not None
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "plan.json"
    sections = [
        {"section": f"A{n}", "rows": 4, "seats": 10, "aisles": [5]} for n in range(SECTIONS)
    ]
    path.write_text(json.dumps({"event": "Hall", "sections": sections}))
    return str(path)


def test_an_event_is_opened_once_and_again_but_not_otherwise(live: Live, plan: str) -> None:
    opens = ("open_event", plan, "--event-id", "5", "--timeout", "200")
    result = live.run(*opens)
    assert (result["opened"], result["seats"]) == (SECTIONS, 40 * SECTIONS)
    assert live.run(*opens)["opened"] == SECTIONS
    result = live.run(*opens, "--hold-ms", "1000", code=1)
    assert set(result["refused"].values()) == {"CONFLICT"}


def test_load_gets_an_outcome_for_every_command_and_the_log_is_exact(live: Live) -> None:
    hall = ["--sections", "20", "--rows", "10", "--seats", "20"]
    load = ("load_test", "--event-id", "6", *hall, "--wait", "120")
    result = live.run(*load, "--commands", "2000", "--flat-out", "--skew", "1")
    assert (result["missing"], result["commands"]) == (0, 2000)
    assert result["by_reason"]["SeatsHeld"] > 0
    result = live.run(*load, "--rate", "250", "--commands", "500", "--seed", "2")
    assert result["missing"] == 0
    assert result["latency_ms"]["p50"] > 0
    report = live.audit()
    assert (report["exact"], report["violations"]) == (True, 0)
    assert report["commands"] >= 2520


def test_p8_the_log_is_decided_again_beside_a_worker_and_goes_on_at_a_snapshot(
    live: Live, plan: str, tmp_path: Path
) -> None:
    # Reservations of a seed have the same ids in every event; others of this log are of seed 1.
    load = ("load_test", "--event-id", "26", "--plan", plan, "--wait", "120", "--seed", "6")
    assert live.run(*load, "--commands", "600", "--flat-out")["missing"] == 0
    kept = tmp_path / "kept"
    whole = live.run("program", "replay", "--write", str(kept))
    assert (whole["exact"], whole["since_the_beginning"]) == (True, True)
    assert whole["outcomes_equal"] >= 600
    more = ("load_test", "--event-id", "26", "--plan", plan, "--wait", "120", "--seed", "7")
    assert live.run(*more, "--commands", "300", "--flat-out")["missing"] == 0
    rest_ = live.run("program", "replay", "--from", str(kept))
    assert (rest_["exact"], rest_["since_the_beginning"]) == (True, True)
    assert 300 <= rest_["outcomes_equal"] < whole["outcomes_equal"]


def test_u9_a_section_is_shown_and_its_seats_are_explained_while_a_worker_runs(
    live: Live, plan: str
) -> None:
    load = ("load_test", "--event-id", "16", "--plan", plan, "--wait", "120")
    assert live.run(*load, "--commands", "600", "--flat-out")["missing"] == 0
    shows = ("program", "inspect", "section", "16", "A3")
    now = live.run(*shows)
    assert sum(now["counts"].values()) == 40
    # What the outcomes tell of the past ends where the state is.
    assert live.run(*shows, "--at", "99999999999")["rows"] == now["rows"]
    before = live.run(*shows, "--at", "2001-01-01")
    assert before["counts"]["free"] == 40
    label, holder = next(iter(now["holders"].items()))
    row, _, seat = label.partition("/")
    for words, told in (
        (("reservation", holder), "SeatsHeld  epoch 1  seats "),
        (("seat", "16", "A3", row, seat), f"by {holder}: "),
    ):
        done = live.plain("program", "explain", *words)
        assert done.returncode == 0, done.stderr
        assert told in done.stdout
    [stored] = live.run("program", "inspect", "reservation", holder).values()
    assert stored["request"]["reservationId"] == holder


def test_s9_what_strangers_write_into_every_topic_is_counted_and_the_log_stays_exact(
    live: Live,
) -> None:
    tick = b"\0" + live_id(live, "Tick").to_bytes(4, "big") + AVRO.encode("Tick", {"timerMs": 1})
    latin = [(b"caf\xe9-", b"\xff"), (b"", None)]
    strange = batch(
        [
            record(None, None, at=0),
            record(None, b"hello", latin, at=1),
            record(b"\xff", b"\1\0\0\0\7", at=2),
            record(b"", b"\0\xff\xff\xff\xffx", at=3),
            record(b"7-A", tick, latin, at=4),
        ]
    )
    topics = (
        *(RESERVATION_OUTCOMES, SECTION_STATUS, SEATS_CHANGELOG, DEAD_LETTER_QUEUE),
        *(PAYMENT_EVENTS, PURCHASES_CHANGELOG),
    )

    async def write() -> int:
        # Compacted topics take no record without a key from a producer: a broker refuses them.
        keyed = batch([record(b"\xe9", b"hello", latin, at=0), record(b"x", tick, at=1)])
        for topic in topics:
            is_compacted = "compact" in topic.cleanup
            await append(live.where.brokers, topic.name, 1, keyed if is_compacted else strange)
        [first] = await append(live.where.brokers, SECTION_COMMANDS.name, 1, strange)
        return first + 5

    behind = asyncio.run(write())
    assert wait_until(lambda: live.has_decided(1, behind), 120), live.tail()
    report = live.audit()
    assert (report["verdict"], report["violations"]) == ("exact", 0), report
    assert {topic: found["count"] for topic, found in report["foreign"].items()} == {
        topic.name: 2 if "compact" in topic.cleanup else 5 for topic in topics
    }


def test_s003_5_f82_a_status_topic_is_made_anew_while_a_worker_runs_and_the_log_stays_exact(
    live: Live, plan: str
) -> None:
    live.run("open_event", plan, "--event-id", "17", "--timeout", "200")
    recreates = ("program", "topics", "recreate", SECTION_STATUS.name)
    # Commands of other tests may wait until now; at rest a dry run has something to do.
    assert wait_until(lambda: live.done(*recreates, "--dry-run").returncode == 1, 120), live.tail()
    verifies = ("program", "topics", "verify", SECTION_STATUS.name, "--wait", "120")
    before = live.run(*verifies)
    after = live.run(*recreates, "--yes", "--wait", "180")
    assert (after["verified"], after["digest"]) == (True, before["digest"])
    assert after["sections"] >= SECTIONS
    assert wait_until(lambda: live.worker is not None and live.worker.is_ready(), 60), live.tail()
    report = live.audit()
    assert (report["verdict"], report["violations"]) == ("exact", 0), report


def test_u2_a_status_topic_is_written_anew_while_seats_are_sold_though_all_are_killed_on_the_way(
    live: Live, plan: str
) -> None:
    """The command is killed once, the worker once; what a stranger wrote before is gone then."""
    live.run("open_event", plan, "--event-id", "18", "--timeout", "200")
    junk = Producer({"bootstrap.servers": live.where.brokers})
    for partition in range(PARTITIONS):
        junk.produce(SECTION_STATUS.name, b"full map", b"18-A3", partition)
    assert junk.flush(30) == 0
    load = ("load_test", "--event-id", "18", "--plan", plan, "--wait", "200", "--rate", "100")
    rebuilds = ("program", "topics", "rebuild", SECTION_STATUS.name, "--yes")
    with ThreadPoolExecutor(1) as threads:
        sold = threads.submit(live.done, *load, "--commands", "1500")
        command = [sys.executable, "-m", "scripts.program", *rebuilds[1:]]
        killed = subprocess.Popen(command, cwd=ROOT, env=live.environment())
        try:
            assert wait_until(lambda: len(journal(live)) == 1, 120), live.tail()
        finally:
            killed.kill()
            killed.wait(60)
        # Whoever takes partitions over tells all again at once.
        live.kill_and_start()
        told = live.run(*rebuilds, "--wait", "200")
        assert live.result(sold.result(300), 0)["missing"] == 0
    assert (told["verified"], told["rebuild_mismatches"]) == (True, 0), told
    assert told["rebuilt_keys"] == told["sections"] >= SECTIONS
    assert told["removed"] > 0
    assert [one["operator-step"] for one in journal(live)] == [b"begun", b"cut", b"done"]
    left = read_committed(live.where.brokers, SECTION_STATUS.name, PARTITIONS)
    assert not [one for one in left if one.value == b"full map"]
    same = live.plain("create_topics", "--dry-run", *LISTED)
    assert (same.returncode, "topics are as listed" in same.stdout) == (0, True)
    other = live.plain("create_topics", "--dry-run", "--partitions", "7")
    assert (other.returncode, "the topics were created with" in other.stderr) == (1, True)
    report = live.audit()
    assert (report["verdict"], report["violations"]) == ("exact", 0), report


def test_u2_statuses_move_to_another_number_of_partitions_while_seats_are_sold(
    live: Live, plan: str
) -> None:
    """The command is killed once. Pods may read either topic, and go back to the first one."""
    second, count = f"{SECTION_STATUS.name}-b", 7
    live.run("open_event", plan, "--event-id", "27", "--timeout", "200")
    moves = ("topics", "rebuild", SECTION_STATUS.name, "--to", second, "--yes")
    load = ("load_test", "--event-id", "27", "--plan", plan, "--wait", "200", "--rate", "50")
    told_by_pods: dict[tuple[str, int], Any] = {}
    with ThreadPoolExecutor(1) as threads, ExitStack() as pods:
        before = pods.enter_context(watched(live, SECTION_STATUS.name, told_by_pods))
        sold = threads.submit(live.done, *load, "--commands", "1500")
        command = [sys.executable, "-m", "scripts.program", *moves, "--partitions", str(count)]
        killed = subprocess.Popen(command, cwd=ROOT, env=live.environment())
        try:
            assert wait_until(lambda: is_there(live, second), 120), live.tail()
        finally:
            killed.kill()
            killed.wait(60)
        both = {
            "SEATSTREAM_STATUS_TOPIC": second,
            "SEATSTREAM_STATUS_ALSO": SECTION_STATUS.name,
        }
        live.kill_and_start(both)
        told = live.run("program", *moves, "--wait", "200")
        # A pod goes to the other topic now: from its first answer on it is no further back.
        newest = dict(before)
        after = pods.enter_context(watched(live, second, told_by_pods))
        assert all(after.get(name, 0) >= version for name, version in newest.items())
        assert live.result(sold.result(300), 0)["missing"] == 0
    assert len(told_by_pods) > len(after) >= SECTIONS
    assert (told["topic"], told["verified"], told["rebuild_mismatches"]) == (second, True, 0), told
    assert told["rebuilt_keys"] == told["sections"] >= SECTIONS
    assert wait_until(live.has_decided_all, 120), live.tail()
    digests = {
        live.run("program", "topics", "verify", topic, "--wait", "60")["digest"]
        for topic in (SECTION_STATUS.name, second)
    }
    assert len(digests) == 1
    assert seen_by_a_pod(live, second) == seen_by_a_pod(live, SECTION_STATUS.name)
    done = run(live.environment() | both, "scripts.audit", "--json")
    report = live.result(done, 0)
    assert (report["verdict"], report["violations"]) == ("exact", 0), report
    plans = run(live.environment() | both, "scripts.create_topics", "--dry-run", *LISTED)
    assert plans.returncode == 0, plans.stdout
    live.kill_and_start(dict.fromkeys(both, ""))
    assert live.audit()["verdict"] == "exact"


def test_u2_full_seat_maps_become_slim_statuses_while_seats_are_sold(
    live: Live, tmp_path: Path
) -> None:
    """An old release filled the topic; workers of this one write it anew, and no map is left."""
    hall = tmp_path / "hall.json"
    sections = [
        {"section": "BIG", "rows": 50, "seats": 100},
        {"section": "SMALL", "rows": 4, "seats": 10},
    ]
    hall.write_text(json.dumps({"event": "Hall", "sections": sections}))
    buys = ("load_test", "--plan", str(hall), "--wait", "200")
    live.run(*buys, "--event-id", "28", "--commands", "400", "--flat-out", "--seed", "8")
    assert wait_until(live.has_decided_all, 120), live.tail()
    report = tmp_path / "slim.md"
    rebuilds = ("topics", "rebuild", SECTION_STATUS.name, "--yes", "--report", str(report))
    more = ("--event-id", "29", "--commands", "600", "--rate", "20", "--seed", "9")
    with ThreadPoolExecutor(1) as threads:
        with live.without_worker():
            maps = written_by_an_old_release(live, 28)
            assert max(map(len, maps.values())) > 90_000
            sold, begun = threads.submit(live.done, *buys, *more), len(journal(live))
            command = [sys.executable, "-m", "scripts.program", *rebuilds]
            killed = subprocess.Popen(command, cwd=ROOT, env=live.environment())
            try:
                assert wait_until(lambda: len(journal(live)) > begun, 120), live.tail()
            finally:
                killed.kill()
                killed.wait(60)
        told = live.run("program", *rebuilds, "--wait", "200")
        assert live.result(sold.result(300), 0)["missing"] == 0
    assert (told["verified"], told["rebuild_mismatches"]) == (True, 0), told
    seats = told["seats"]
    assert sum(seats.values()) == 2 * seats["capacity"] >= 2 * 5_040
    assert "Verified: nothing is missing" in report.read_text(encoding="utf-8")
    left = read_committed(live.where.brokers, SECTION_STATUS.name, PARTITIONS)
    assert max(len(one.value or b"") for one in left) <= 50
    # Nobody bought of the first hall meanwhile: each status is what its map was.
    slim = newest_statuses(live.where)
    for key, value in maps.items():
        old, new = told_in(value), slim[key].fields
        words = Counter(old["seatStatuses"].values())
        assert (new["version"], new["availableCount"]) == (old["version"], words[FREE])
        assert new["heldCount"] == words[HELD]


def written_by_an_old_release(live: Live, event_id: int) -> dict[str, bytes]:
    """Empty the topic, and fill it with the maps of an event; return them by key."""
    where, now = live.where, states_of(live.where)
    seats = seats_of(live, event_id)
    admin = live_topic.admin_of(where)
    with live_topic.deletable(admin, where.status):
        ends = {part: end for part, (_, end) in spans_of(where, where.status).items()}
        live_topic.remove(admin, where.status, ends)
    schema_id = registered(Registry(where.registry_url))
    producer = Producer({"bootstrap.servers": where.brokers})
    maps = {}
    for name, by_place in seats.items():
        key = f"{event_id}-{name}"
        maps[key] = value = full_map(schema_id, event_id, name, now[key].version, by_place)
        place = partition_of(key.encode(), PARTITIONS)
        producer.produce(where.status.name, value, key.encode(), place)
    assert producer.flush(60) == 0
    return maps


def is_there(live: Live, topic: str) -> bool:
    return topic in AdminClient({"bootstrap.servers": live.where.brokers}).list_topics().topics


def seen_by_a_pod(live: Live, topic: str) -> dict[str, Any]:
    """Return what the view of a pod tells of the sections of the event that is moved."""
    schemas = SchemaSource(live.where.registry_url, Path())
    with AvailabilityView(live.where.brokers, topic=topic, schemas=schemas) as view:
        view.wait_ready(60)
        assert not view.misplaced()
        found = {f"A{number}": view.get(27, f"A{number}") for number in range(SECTIONS)}
    return {name: one and one[:5] for name, one in found.items()}


@contextmanager
def watched(live: Live, topic: str, told: dict[tuple[str, int], Any]) -> Iterator[dict[str, int]]:
    """Look all the time at what a pod tells of the event that is moved; give its versions.

    No version goes back. told: by section and version, what any pod tells, which is one thing.
    """
    versions: dict[str, int] = {}
    wrong: list[str] = []
    is_over = Event()

    def look(view: AvailabilityView) -> None:
        for name, now in view.sections(27).items():
            if (
                now.version < versions.get(name, 0)
                or told.setdefault((name, now.version), now[:3]) != now[:3]
            ):
                before = versions.get(name), told.get((name, now.version))
                wrong.append(f"{topic}, {name}: {now}, and it was {before}")
            versions[name] = now.version

    def keep_looking(view: AvailabilityView) -> None:
        while not is_over.wait(0.02):
            look(view)

    schemas = SchemaSource(live.where.registry_url, Path())
    with (
        AvailabilityView(live.where.brokers, topic=topic, schemas=schemas) as view,
        ThreadPoolExecutor(1) as threads,
    ):
        view.wait_ready(60)
        look(view)
        looking = threads.submit(keep_looking, view)
        try:
            yield versions
        finally:
            is_over.set()
            looking.result()
    assert wrong == []


def journal(live: Live) -> list[dict[str, Any]]:
    brokers, count = live.where.brokers, PARTITIONS
    found = [dict(one.headers) for one in read_committed(brokers, DEAD_LETTER_QUEUE.name, count)]
    return [one for one in found if one.get("operator-action") == b"rebuild"]


@pytest.fixture
def undisturbed(filled_registry: str, tmp_path: Path) -> Iterator[Live]:
    """Give servers with a worker to whom no stranger wrote, and whose log may be told again."""
    with prepared_servers(filled_registry) as where, with_worker(where, tmp_path) as live:
        yield live


def test_p5_a_state_is_made_anew_from_its_commands_and_is_what_it_was(undisturbed: Live) -> None:
    live = undisturbed
    load = ("load_test", "--event-id", "19", "--sections", "4", "--wait", "120")
    live.run(*load, "--commands", "300", "--flat-out")
    assert wait_until(live.has_decided_all, 120), live.tail()
    before = seats_of(live, 19)
    assert len(before) == 4
    worker, supervisor = live.worker, live.supervisor
    assert worker is not None
    assert supervisor is not None
    page = steps_of(RUNBOOKS / "reset.md", SEATSTREAM_DATA_DIR=str(worker.stores.parent))
    replays, shows, plans, resets = [("program", *step) for step in page]
    assert live.run(*replays)["exact"]
    assert live.run(*shows)
    refused = live.plain(*resets, "--yes")
    assert refused.returncode == 2
    assert "stop all workers" in refused.stderr
    supervisor.away.add(worker.name)
    worker.terminate()
    assert wait_until(lambda: worker.exit_code() is not None, 120)
    # It leaves the group, or is given up by it.
    assert wait_until(lambda: live.done(*plans).returncode == 1, 120)
    assert live.run(*resets, "--yes")["done"]
    worker.start()
    supervisor.away.discard(worker.name)
    assert wait_until(live.has_decided_all, 120), live.tail()
    assert seats_of(live, 19) == before
    report = live.result(at_rest(lambda: live.done("audit", "--allow-repeats")), 0)
    assert (report["violations"], report["lost"]) == (0, 0), report


def seats_of(live: Live, event_id: int) -> dict[str, dict[Place, Seat]]:
    """Return the seats of each section of an event with their holders, as `inspect` shows them."""
    names = section_names(live, event_id)
    return {name: section_log(live.where, event_id, name).timeline.seats(NOW) for name in names}


def section_names(live: Live, event_id: int) -> list[str]:
    records = read_committed(live.where.brokers, SECTION_STATUS.name, PARTITIONS)
    begin = f"{event_id}-"
    keys = {(one.key or b"").decode(errors="replace") for one in records}
    return sorted(key.removeprefix(begin) for key in keys if key.startswith(begin))


def live_id(live: Live, record_name: str) -> int:
    by_subject = schema_ids(live.where.registry_url).id_by_subject
    return by_subject[f"{SECTION_COMMANDS.name}-io.seatstream.commands.{record_name}"]


@pytest.fixture(scope="module")
def without_worker(filled_registry: str) -> Iterator[Live]:
    """Give servers whose log may be spoiled, by the last test that has them."""
    with prepared_servers(filled_registry) as where:
        yield Live(where)


def test_p5_a_group_is_moved_once_its_workers_are_gone_and_their_owner_stays_named(
    live: Live, without_worker: Live
) -> None:
    name, partitions = SECTION_COMMANDS.name, PARTITIONS
    moves = ("program", "offsets", "set", name, "--yes", "--partition", "0", "--to")
    refused = live.plain(*moves, "first")
    assert refused.returncode == 2
    assert "stop all workers" in refused.stderr

    brokers = without_worker.where.brokers
    producer = Producer({"bootstrap.servers": brokers})
    for _ in range(3):
        producer.produce(name, b"junk", b"7-A", partition=0)
    assert producer.flush(30) == 0
    settings = settings_for(brokers)
    # As the worker left it that committed last.
    asyncio.run(move_group(settings, [Move((name, 0), NOWHERE, 2, "w1")], "ann", "set up"))
    assert without_worker.run(*moves, "1", "--reason", "again")["moved"] == 1
    assert without_worker.run(*moves, "1")["moved"] == 0
    assert asyncio.run(committed_at_rest(settings, name)) == {(name, 0): At(1, "w1")}
    shows, plans, sets = [("program", *step) for step in steps_of(RUNBOOKS / "offsets.md")]
    assert without_worker.done(*shows).returncode == 1
    assert without_worker.done(*plans).returncode == 1
    assert without_worker.run(*sets, "--yes")["moved"] == partitions
    assert without_worker.done(*plans).returncode == 0
    looks, gives_up = [("program", *step) for step in steps_of(RUNBOOKS / "lost-commands.md")]
    assert without_worker.run(*looks)["lost"] == []
    assert not without_worker.run(*gives_up)["given_up"]
    given_up = without_worker.plain(*moves, "3")
    assert given_up.returncode == 2
    assert "--give-up" in given_up.stderr
    done = read_committed(brokers, DEAD_LETTER_QUEUE.name, partitions)
    reasons = [dict(one.headers)["operator-reason"] for one in done]
    assert Counter(reasons) == {b"set up": 1, b"again": 1, b"outcomes were lost": partitions}


def test_the_auditor_finds_a_forged_outcome(without_worker: Live) -> None:
    live = without_worker
    ids = schema_ids(live.where.registry_url)
    subject = f"{RESERVATION_OUTCOMES.name}-io.seatstream.outcomes.SeatsHeld"
    forged = {
        "request": identity("thief", "thief", "A1", 5),
        "outcomeId": "section-commands:3:0:0",
        "version": 2,
        "decidedAtMs": 1,
        "epoch": 1,
        "deadlineMs": 2,
        "seats": [{"row": 0, "first": 0, "count": 2}],
    }
    header = b"\0" + ids.id_by_subject[subject].to_bytes(4, "big")
    producer = Producer({"bootstrap.servers": live.where.brokers})
    body = AVRO.encode("SeatsHeld", forged)
    producer.produce(RESERVATION_OUTCOMES.name, header + body, b"thief", partition=3)
    assert producer.flush(30) == 0
    report = live.audit(code=1)
    assert any(name.startswith("I8") for name in report["first"])


def test_without_a_broker_scripts_say_so_with_their_exit_code(plan: str) -> None:
    nowhere = Live(Servers("127.0.0.1:1", "http://127.0.0.1:1"))
    nowhere.run("open_event", plan, "--event-id", "5", code=3)
    nowhere.run("audit", code=3)


def test_the_demo_sells_out_exactly_while_workers_die_and_more_faults_come(
    tmp_path: Path,
) -> None:
    summary, seen = tmp_path / "summary.json", tmp_path / "redis-keys.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.demo", "--seats", "800", "--rate", "200", *LISTED),
            *("--seed", "1", "--faults", "--summary", str(summary), "--redis-keys", str(seen)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(summary.read_text())
    assert figures.pop("faults") == [*draw_faults(random.Random(1))]
    assert list(figures) == SUMMARY_KEYS
    assert (figures["seats"], figures["sold"]) == (800, 800)
    assert figures["commands"] == figures["outcomes"]
    assert [figures[name] for name in EXACT] == [0] * len(EXACT)
    answers = figures["http_ok"] + figures["http_refused"] + figures["http_pending"]
    assert figures["http_requests"] == answers
    assert figures["http_ok"] > 100
    assert 0 < figures["http_p50_ms"] <= figures["http_p99_ms"]
    assert figures["captured"] - figures["refunded"] == figures["price_of_sold"] > 0
    assert figures["payments"] > figures["declined"]
    # Most of so slow a sale is paid for at the gateway; of the rest a shop has the money.
    assert figures["carts"] > 0
    assert figures["sold_elsewhere"] < figures["payments"]
    # Some were refunded before they were issued.
    assert 0 < figures["purchases"] == figures["allocations"] <= figures["tickets"]
    # What the sale wrote to Redis is told, and ends.
    found = json.loads(seen.read_text())
    assert [name for name, (_, left_ms) in found.items() if left_ms <= 0] == []
    met = rows_met({name: kind for name, (kind, _) in found.items()})
    assert met >= {"seatstream:idem:{stem}", "seatstream:fence:{event-section}"}
    # What seed 1 draws kills nobody more; a soak of demos draws all of them.
    assert (figures["kills"], figures["pauses"]) == (2, 1)


def test_a_stopped_demo_leaves_nothing_running() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "scripts.demo", "--seats", "100", "--partitions", "2"],
        cwd=ROOT,
        env=child_environment(),
        stdout=subprocess.PIPE,
    )
    assert demo.stdout is not None
    try:
        for line in demo.stdout:
            if b"workers ready" in line:
                break
        children = descendants(demo.pid)
        assert len(children) >= 4
        demo.send_signal(signal.SIGINT)
        demo.stdout.read()
        assert demo.wait(60) == 130
        assert [child for child in children if child.is_alive()] == []
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()


def descendants(pid: int) -> list[ProcessId]:
    """Return all processes below one, with their identities."""
    found: list[ProcessId] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            identity_of = ProcessId.of(int(child))
            if identity_of is not None:
                found.append(identity_of)
            found += descendants(int(child))
    return found
