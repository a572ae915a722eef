"""From a payment to its tickets and allocation, by real workers over a real service.

Whatever dies at whichever step: a purchase is issued once, the service allocates once, and the
tables of a back office say just that.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import jwt
import pytest
from confluent_kafka import Consumer
from integration.conftest import FAST_SESSIONS
from integration.pods import PodProcess, Servers
from integration.seat_workers import Seats
from integration.workers import (
    LoggedRecord,
    Worker,
    environment_without_settings,
    producing,
    read_committed,
    run,
)
from support.gateways.running import API_KEY, SECRET, RunningGateway, running_gateway
from support.issuing.purchases_asked import pem
from support.payments.paying import PODS
from support.payments.shop import WIRE
from support.seats.section_commands import (
    EVENT,
    PARTITIONS,
    hold,
    identity,
    open_section,
    sections_of,
    start_payment,
)
from support.tables.postgres_server import PASSWORD, PostgresServer

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import (
    DEAD_LETTER_QUEUE,
    PAYMENT_COMMANDS,
    PERFORMANCE_SLOTS,
    PURCHASE_CONFIRMED,
    PURCHASE_CREATED,
    SEATS_ALLOCATED,
    SECTION_COMMANDS,
    Topic,
)
from scripts.auditing.checks import audit
from scripts.auditing.log import read_topics
from scripts.auditing.report import Report, as_text
from scripts.processes.allocation import AllocationService
from streams.runtime.process.failpoints import OF_INTENTS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

PATIENCE_S = 120.0
"""Bound of each wait: a machine may be many times slower than ours."""

USER, PRICE = "eve", 4_500
PARTITION = 1
SECTION = sections_of(PARTITION, 1)[0]
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IDS = [("correlation-id", b"c-eve"), ("traceparent", TRACE)]
# After the effect, mark and word were produced, and before and after they were committed.
OF_ISSUING = ("records_produced", "commit_requested", "commit_acknowledged")


class Box:
    """One section on sale, its workers, their gateway, the allocation service, and a database."""

    def __init__(
        self,
        seats: Seats,
        gateway: RunningGateway,
        service: AllocationService,
        database: PostgresServer,
    ) -> None:
        self.database = database
        self.seats = seats
        self.gateway = gateway
        self.service = service
        self.paying = seats.worker(
            "paying",
            SEATSTREAM_ROLES="seats,payments",
            MOCK_GATEWAY_URL=gateway.process.url,
            MOCK_GATEWAY_API_KEY=API_KEY,
            MOCK_GATEWAY_WEBHOOK_SECRET=SECRET,
        )
        self.issuing = seats.worker(
            "issuing",
            SEATSTREAM_ROLES="issue_purchases,allocate_purchases,schedule_slots",
            SEATSTREAM_APP_ID="purchase-creation-workers",
            SEATSTREAM_ANSWER_SECRET="the secret of these workers",
            ADMIN_SERVICE_URL=service.url,
            # Who comes back under its name is not waited for.
            SEATSTREAM_STATIC_MEMBERSHIP="true",
            SEATSTREAM_SESSION_TIMEOUT_S="30",
        )

        self.tables = seats.worker(
            "tables",
            SEATSTREAM_ROLES="purchase_tables,allocation_tables,slot_tables",
            SEATSTREAM_APP_ID="back-office-workers",
            DATABASE_URL=database.url,
            SEATSTREAM_STATIC_MEMBERSHIP="true",
            SEATSTREAM_SESSION_TIMEOUT_S="30",
        )

    def pay(self, buyer: str) -> None:
        """Have somebody hold two seats and begin to pay, with ids that go on."""
        pairs = (
            hold(buyer, 2, section=SECTION, user=USER),
            start_payment(buyer, parameters=b"", section=SECTION, user=USER),
        )
        with producing(self.seats.brokers) as producer:
            for key, value in pairs:
                assert isinstance(value, bytes)
                producer.produce(SECTION_COMMANDS.name, value, key, PARTITION, headers=list(IDS))

    def give_back(self, buyer: str) -> None:
        """Have the buyer give the seats of a sale back."""
        wish = PODS.refund_requested(identity(buyer, section=SECTION, user=USER))
        with producing(self.seats.brokers) as producer:
            producer.produce(PAYMENT_COMMANDS.name, wish, buyer.encode(), PARTITION)

    def told(self, topic: Topic) -> list[LoggedRecord]:
        """Return the events of a topic; not what workers send themselves."""
        records = read_committed(self.seats.brokers, topic.name, PARTITIONS)
        return [one for one in records if not (one.key or b"").startswith(b"\0")]

    def tells(self, topic: Topic, count: int, worker: Worker) -> list[LoggedRecord]:
        """Wait until a topic has so many events; return them."""
        assert wait_until(lambda: len(self.told(topic)) >= count, PATIENCE_S), worker.tail()
        found = self.told(topic)
        assert len(found) == count
        return found

    def audit(self) -> Report:
        """Return what the audit says; nothing may be wrong."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.seats.brokers,
                "group.id": "audit-never-commits",
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            log = read_topics(consumer, {}, self.gateway.process.ledger)
        finally:
            consumer.close()
        log.wire = WIRE
        report = audit(log)
        assert report.violations == [], "\n".join(as_text(report))
        return report


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    directory = tmp_path_factory.mktemp("issuing")
    with ExitStack() as opened:
        service = AllocationService(directory / "allocation")
        opened.callback(service.finish)
        opened.callback(service.terminate)
        service.start()
        database = PostgresServer(directory / "database")
        opened.callback(database.kill)
        database.create()
        gateway = opened.enter_context(running_gateway())
        stack = opened.enter_context(
            ephemeral_stack(
                "tests-issuing",
                parts={"kafka"},
                kafka_properties={**QUICK_RESTART, **FAST_SESSIONS},
                fast_jit=True,
            )
        )
        seats = Seats(stack.kafka_brokers, directory)
        opened.callback(seats.stop)
        seats.create_topics()
        seats.send(
            open_section("." * 60, section=SECTION, currency="EUR", amounts=(PRICE,), limit=2)
        )
        yield Box(seats, gateway, service, database)


def test_s002_19_a_kill_at_each_step_issues_once_and_allocates_once(box: Box) -> None:
    box.paying.start("topology")
    servers = Servers(box.seats.brokers, "", "", box.seats.directory)
    pod = PodProcess(servers, "pod", USER, SEATSTREAM_API_TICKET_KEY=pem())
    try:
        box.pay("r1")
        [confirmed] = box.tells(PURCHASE_CONFIRMED, 1, box.paying)
        die_at_each_step(box.issuing)
        [allocated] = box.tells(SEATS_ALLOCATED, 1, box.issuing.start("topology"))
        [created] = box.tells(PURCHASE_CREATED, 1, box.issuing)
        assert len(httpx.get(f"{box.service.url}/v1/allocations", timeout=60).json()) == 1
        types = [one.header("event-type") for one in (confirmed, created, allocated)]
        assert types == ["PURCHASE_CONFIRMED", "PURCHASE_CREATED", "SEATS_ALLOCATED"]
        for record in (confirmed, created, allocated):
            assert set(IDS) <= set(record.headers)
        slots = box.tells(PERFORMANCE_SLOTS, 7, box.issuing)
        assert all(set(IDS) <= set(one.headers) for one in slots)
        assert box.told(DEAD_LETTER_QUEUE) == []
        assert_tickets_are_good_offline(pod.wait_ready())
        report = box.audit()
        figures = report.purchases, report.tickets, report.allocations, report.issued_twice
        assert (*figures, report.unissued) == (1, 2, 1, 0, 0)
        box.give_back("r1")
        changed = box.tells(PURCHASE_CREATED, 2, box.issuing)[-1]
        assert changed.header("event-type") == "PURCHASE_CHANGED"
        ended = shown(pod)
        assert (ended["status"], ended["tickets"]) == ("ENDED", [])
        box.tells(SEATS_ALLOCATED, 2, box.issuing)
        slots = box.tells(PERFORMANCE_SLOTS, 14, box.issuing)
        types = [one.header("event-type") for one in slots]
        assert types == ["SLOT_SCHEDULED"] * 7 + ["SLOT_CANCELLED"] * 7
        assert_tables_follow(box)
    finally:
        pod.end()


def rows(box: Box) -> dict[str, list[tuple[object, ...]]]:
    """Return what the tables say; not the version of an allocation, which may lag its purchase."""
    queries = {
        "purchases": "SELECT * FROM purchases",
        "orders": "SELECT * FROM orders",
        "tickets": "SELECT * FROM tickets ORDER BY ticket_id",
        "allocations": "SELECT purchase_id, user_id, event_id, allocation_id, status"
        " FROM allocations",
        "slots": "SELECT slot_id, is_cancelled FROM slots ORDER BY slot_id",
    }
    return {table: box.database.rows(query) for table, query in queries.items()}


def assert_tables_follow(box: Box) -> None:
    """A death between both commits, and a database that is away, lose and double nothing."""
    database, tables = box.database, box.tables
    database.start()
    tables.start("topology", FAILPOINTS="decided:kill:1")
    assert tables.ended(PATIENCE_S, why="behind the commit there") == -signal.SIGKILL
    assert database.rows("SELECT count(*) FROM processed_events")[0] > (0,)
    database.kill()
    tables.start("topology")
    why = "could not be written: connection failed"
    assert wait_until(
        lambda: any(why in one for one in tables.set_aside().values()), PATIENCE_S
    ), tables.tail()
    database.start()

    def has_all() -> bool:
        told = database.rows("SELECT topic, event_type FROM processed_events ORDER BY 1, 2")
        return told == [
            *(("performance-slots", "SLOT_CANCELLED"),) * 7,
            *(("performance-slots", "SLOT_SCHEDULED"),) * 7,
            ("purchase-created", "PURCHASE_CHANGED"),
            ("purchase-created", "PURCHASE_CREATED"),
            *(("seats-allocated", "SEATS_ALLOCATED"),) * 2,
        ]

    assert wait_until(has_all, PATIENCE_S), tables.tail()
    live = rows(box)
    assert [(one[1], one[3:]) for one in live["purchases"]] == [(USER, (4, False))]
    assert [one[-1] for one in live["tickets"]] == [False, False]
    assert [one[-1] for one in live["allocations"]] == ["ended"]
    assert [one[-1] for one in live["slots"]] == [True] * 7
    environment = {
        **environment_without_settings(),
        "KAFKA_BROKERS": box.seats.brokers,
        "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1",
        "DATABASE_URL": database.url,
        "REDIS_URL": "",
    }
    done = run(environment, "scripts.program", "tables", "rebuild", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    counts = {"purchases": 1, "orders": 1, "allocations": 1}
    assert json.loads(done.stdout) == {
        **counts,
        # Those that are left are cancelled, which no worker knows any more.
        "slots": 0,
        "before": {**counts, "slots": 7},
        "left_out": 0,
        "first_left_out": "",
    }
    assert rows(box) == live
    assert box.told(DEAD_LETTER_QUEUE) == []
    assert PASSWORD not in tables.output()


def die_at_each_step(worker: Worker) -> None:
    """Let a worker come so far, each time, and lose its machine once."""
    for step in (*OF_ISSUING, *OF_INTENTS):
        worker.start("topology", FAILPOINTS=f"{step}:kill:1")
        assert worker.ended(PATIENCE_S, why=f"before {step}") == -signal.SIGKILL
        if step == "call_answered":
            worker.wipe()


def shown(pod: PodProcess) -> dict[str, Any]:
    """Return the buyer's purchase; the owner that the pod knows may have died just now."""
    found: list[httpx.Response] = []

    def is_shown() -> bool:
        found[:] = [pod.client.get("/v1/purchases", params={"event_id": EVENT})]
        return found[0].status_code == 200

    assert wait_until(is_shown, PATIENCE_S), found[0].text
    purchase: dict[str, Any] = found[0].json()
    return purchase


def assert_tickets_are_good_offline(pod: PodProcess) -> None:
    """A door has the keys, and no connection."""
    found = shown(pod)
    keys = jwt.PyJWKSet.from_dict(pod.client.get("/.well-known/jwks.json").json())
    tickets = found["tickets"]
    assert len(tickets) == 2
    for ticket in tickets:
        head = jwt.get_unverified_header(ticket["code"])
        assert head["typ"] == "ticket+jwt"
        said = jwt.decode(ticket["code"], keys[head["kid"]], algorithms=["EdDSA"])
        assert (said["sub"], said["event"], said["section"]) == (
            *(ticket["ticket_id"], EVENT),
            SECTION,
        )
