"""The example of a worker for each event, on a broker: a kill, a lost store, retries, calls."""

from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from integration.conftest import FAST_SESSIONS
from integration.destinations import Ledger, serving
from integration.workers import LoggedRecord, Worker, create_topics, producing, read_committed

from docs.examples.allocate_once import route
from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

MODULE = "docs.examples.allocate_once"
PATIENCE_S = 90.0
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REFUSED = "allocate_purchases:ann-1"


class Choosy(Ledger):
    """A service that answers one event badly, whenever it is asked."""

    def heard(self, destination: str, key: str) -> bool:
        return super().heard(destination, key) and key != REFUSED


def ids_of(event_id: str) -> list[tuple[str, bytes]]:
    own = [("event-id", event_id.encode()), ("correlation-id", b"c-" + event_id.encode())]
    return [*own, ("traceparent", TRACE), ("note", b"\xff\x00")]


def append(brokers: str, *event_ids: str) -> None:
    """Append events under the name before the dash, on partition 0."""
    with producing(brokers) as producer:
        for event_id in event_ids:
            key, _, _ = event_id.partition("-")
            value = f"seats for {event_id}"
            producer.produce("purchase-created", value, key, 0, headers=list(ids_of(event_id)))


def created(brokers: str) -> None:
    of = route(Settings())
    time = {"message.timestamp.type": "LogAppendTime"}
    create_topics(
        brokers,
        [
            NewTopic(of.source, 1, config=time),
            NewTopic(of.changelog, 1, config={"cleanup.policy": "compact"}),
            *(NewTopic(name, 1) for name in (*of.to, of.dead_letters)),
        ],
    )


def settings_of(brokers: str, port: int) -> dict[str, str]:
    return {
        "KAFKA_BROKERS": brokers,
        "ADMIN_SERVICE_URL": f"http://127.0.0.1:{port}/allocation",
        "LOG_FORMAT": "json",
        "SEATSTREAM_APP_ID": "allocating",
        "SEATSTREAM_RETRIES": "allocate_purchases=3:0.2:1",
        "SEATSTREAM_TICK_MS": "100",
        "SEATSTREAM_CIRCUIT_FAILURES": "100",
        # Who is back at once is the member that it was.
        "SEATSTREAM_STATIC_MEMBERSHIP": "1",
        "SEATSTREAM_SESSION_TIMEOUT_S": "30",
        "SEATSTREAM_WATCHDOG": "0",
    }


def test_f21_f56_events_act_once_over_a_kill_and_a_lost_store(tmp_path: Path) -> None:
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    ledger = Choosy()
    with (
        ephemeral_stack(
            "tests-working", parts={"kafka"}, kafka_properties=properties, fast_jit=True
        ) as stack,
        serving(ledger) as port,
    ):
        brokers = stack.kafka_brokers
        created(brokers)
        worker = Worker("one", tmp_path, settings_of(brokers, port))
        try:
            ledger.hold("allocation")
            worker.start(MODULE).wait_ready()
            append(brokers, "ann-1", "ann-2", "bob-1", "bob-1")
            # In its calls, and with more of a key behind one, it dies, and its machine with it.
            assert wait_until(lambda: len(ledger.waiting) == 2, PATIENCE_S), worker.tail()
            worker.kill()
            worker.wipe()
            ledger.hold()
            worker.start(MODULE)

            def allocated() -> list[LoggedRecord]:
                return read_committed(brokers, "seats-allocated", 1)

            def letters() -> list[LoggedRecord]:
                return read_committed(brokers, "dead-letter-queue", 1)

            assert wait_until(lambda: len(allocated()) == 2, PATIENCE_S), worker.tail()
            append(brokers, "bob-1", "eve-1")
            assert wait_until(lambda: len(allocated()) == 3, PATIENCE_S), worker.tail()
            assert_told(allocated())
            assert_buried(letters())
            assert f'"correlation_id": "c-ann-1", "traceparent": "{TRACE.decode()}"' in next(
                line for line in worker.output().splitlines() if "dead letter: " in line
            )
        finally:
            if worker.child is not None:
                worker.kill()
    assert ledger.done >= {f"allocate_purchases:{one}" for one in ("ann-2", "bob-1", "eve-1")}


def assert_told(allocated: list[LoggedRecord]) -> None:
    """Each event acted once, with its ids; the key of what failed went on."""
    told = {record.header("correlation-id"): record for record in allocated}
    assert told.keys() == {"c-ann-2", "c-bob-1", "c-eve-1"}
    for record in allocated:
        assert dict(record.headers)["traceparent"] == TRACE
        assert record.header("event-type") == "SEATS_ALLOCATED"
    assert told["c-bob-1"].value == b"done allocate_purchases:bob-1"


def assert_buried(letters: list[LoggedRecord]) -> None:
    """One dead letter of the event that failed, whole."""
    [letter] = letters
    assert letter.value == b"seats for ann-1"
    assert list(letter.headers[:4]) == ids_of("ann-1")
    assert letter.header("dead-letter-cause") == "ATTEMPTS_EXHAUSTED"
    assert letter.header("dead-letter-operation") == "allocate_purchases"
    assert letter.header("dead-letter-attempts") == "3"
    assert letter.header("dead-letter-event-id") == "ann-1"
    assert letter.header("dead-letter-correlation-id") == "c-ann-1"
    first_ms = int(letter.header("dead-letter-first-failed-at-ms"))
    assert 0 < first_ms < int(letter.header("dead-letter-last-failed-at-ms"))
