"""Events over HTTP on real brokers and a real worker: opened, sold, seen by every pod, closed."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from integration.workers import Worker
from support.pods.api_client import BUYER, OPERATOR, TrustingVerifier
from support.pods.api_pods import client_of
from support.pods.conditions import PAUSE_S
from support.records.registry_fake import fake_registry, fill
from support.redis.fixtures import server
from support.redis.locking import redis_at
from support.waiting.keys import passes_of_today

from api import building
from api.admission.desk import WaitingDesk
from api.admission.promoter import Promoter, supply_of
from api.admission.turns import TurnLog
from api.booking.carriers import Carriers
from api.commands.desk import CommandDesk
from api.events.catalogue import now_ms
from api.guard import ENTRY_TOKEN
from api.settings import ApiSettings
from api.web.metrics import ApiMetrics
from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from infra.stack.redis_server import RedisServer
from schemas.topics import EVENTS, TOPICS, WAITING_TURNS
from scripts.auditing.log import Log, look_at_lines, wire_of
from scripts.auditing.report import Report
from scripts.auditing.schemas import Avro, WireFormat
from scripts.auditing.topics import reading
from scripts.auditing.waiting.judging import judge_lines
from scripts.brokers.addresses import Servers
from scripts.contracts.topics import carry_out, plan
from scripts.program.main import run
from scripts.traffic.sending import CommandEncoders, CommandSender, OutcomeReader
from serdes.schema_source import SchemaSource
from state.domain.booking_queue.items import item_id
from state.domain.booking_queue.queue import Enqueued
from state.domain.booking_queue.wishes import Carried, Wish
from state.domain.event import EventStatus
from state.domain.keys import section_key
from state.domain.reasons import ApiReason, Reason
from state.kafka.command_log import CommandLog
from state.owners.lookup import OwnerLookup
from state.records.booking_queue.wishes import decoded_outcome, encoded
from state.records.event import event_key
from state.records.outcomes import REASON, VERSION
from state.redis.keys import waiting_room
from state.redis.waiting import rooms as waiting_rooms
from state.views.availability.view import AvailabilityView
from state.views.events.catalogue import EventCatalogue
from state.views.outcomes.feed import OutcomeFeed

__all__ = ["server"]

pytestmark = pytest.mark.kafka

HOUR_MS = 3_600_000
ADMISSION_REQUIRED = ApiReason.ADMISSION_REQUIRED.name
IDS = SchemaSource("", Path()).ids()


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """Give a broker of our own with all topics: events would be those of other tests."""
    with ephemeral_stack(
        "tests-events", parts={"kafka"}, kafka_properties=QUICK_RESTART, fast_jit=True
    ) as stack:
        carry_out(AdminClient({"bootstrap.servers": stack.kafka_brokers}), plan(TOPICS, {}))
        yield stack.kafka_brokers


@pytest.fixture(scope="module")
def worker(brokers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Give a worker that is ready for all sections, and outlives a pause."""
    environment = {
        "KAFKA_BROKERS": brokers,
        "SEATSTREAM_TICK_MS": "200",
        "SEATSTREAM_SESSION_TIMEOUT_S": "120",
    }
    worker = Worker("one", tmp_path_factory.mktemp("worker"), environment)
    worker.start("topology").wait_ready()
    yield worker
    if worker.child is not None:
        worker.kill()


@asynccontextmanager
async def pod_of(brokers: str, redis_url: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """Give an operator's client of a pod that is ready; with Redis it has waiting rooms."""
    settings = ApiSettings(brokers=brokers, wait_ms=20_000, wait_max_ms=20_000)
    outcomes, commands, metrics = OutcomeFeed(brokers), CommandLog(brokers), ApiMetrics()
    view = AvailabilityView(brokers)
    turns = TurnLog(CommandLog(brokers, topic=WAITING_TURNS.name), IDS)
    promoter = Promoter(redis_url, supply_of(view), members=2, every_s=0.05, turns=turns)
    pod = building.pod_of(
        settings,
        verifier=TrustingVerifier(),
        view=view,
        waiting=WaitingDesk(redis_url, passes_of_today(), promoter, turns),
        outcomes=outcomes,
        commands=commands,
        desk=CommandDesk(IDS, commands, outcomes, metrics, in_flight_max=1_000),
        owners=OwnerLookup(brokers, settings.app_id),
        catalogue=EventCatalogue(brokers),
        descriptions=CommandLog(brokers, topic=EVENTS.name),
        ids=IDS,
        metrics=metrics,
    )
    for part in (pod.view, outcomes, pod.catalogue, commands, pod.descriptions):
        part.start()  # type: ignore[union-attr]
    pod.owners.start()
    await pod.waiting.start()
    try:
        async with client_of(pod) as client:
            client.headers.update(OPERATOR)
            await until(
                lambda: (
                    pod.view.is_ready()
                    and outcomes.is_ready()
                    and pod.catalogue.is_ready()
                    and commands.is_ready()
                    and pod.descriptions.is_ready()
                    and turns.log.is_ready()
                )
            )
            yield client
    finally:
        await pod.stop()


async def until(condition: Callable[[], bool]) -> None:
    assert await asyncio.to_thread(wait_until, condition, 60)


def opening(event_id: int, **changes: Any) -> dict[str, Any]:
    sections = [
        {"section": name, "rows": 3, "seats": 12, "aisles": [6], "category": "gold"}
        for name in ("A", "B", "C-1")
    ]
    return {
        "event_id": event_id,
        "name": f"Concert {event_id}",
        "starts_at_ms": now_ms() + 24 * HOUR_MS,
        "plan": {
            "event": "Hall",
            "sections": sections,
            "currency": "EUR",
            "prices": {"gold": 4_500},
        },
        **changes,
    }


async def opened(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    key = {"Idempotency-Key": f"open-{body['event_id']}"}
    answer = await client.post("/v1/events", json=body, headers=key)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


class Buyer:
    """Asks for seats past the pods, and reads what was decided."""

    def __init__(self, brokers: str) -> None:
        self._reader = OutcomeReader(brokers, IDS)
        self._sender = CommandSender(brokers)
        self._encoders = CommandEncoders(IDS)
        self._number = 0

    def holds(self, event_id: int, section: str, seats: list[tuple[int, int]]) -> Reason | int:
        """Return the version after the hold, or why there is none."""
        self._number += 1
        reservation_id = f"r-{event_id}-{self._number}"
        identity = self._encoders.identity(reservation_id, "buyer-1", section, event_id)
        value = self._encoders.hold_chosen(identity, seats)
        self._sender.send(section_key(event_id, section), value)
        assert self._sender.flush() == 0
        found: list[Reason | int] = []

        def is_decided() -> bool:
            for message in self._reader.read(0.05):
                if message.key() == reservation_id.encode():
                    told = message.value() or b""
                    fields = self._reader.fields_of(told)
                    is_held = self._reader.name_of(told) == "SeatsHeld"
                    found.append(fields[VERSION] if is_held else Reason(fields[REASON]))
            return bool(found)

        assert wait_until(is_decided, 60)
        return found[0]

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def buyer(brokers: str) -> Iterator[Buyer]:
    buyer = Buyer(brokers)
    yield buyer
    buyer.close()


def test_an_event_is_opened_sold_and_closed_and_every_pod_sees_it(
    brokers: str, worker: Worker, buyer: Buyer
) -> None:
    async def play() -> None:
        async with pod_of(brokers) as one, pod_of(brokers) as two:
            body = opening(71)
            told = await opened(one, body)
            assert (told["sale_state"], told["capacity"]) == ("on_sale", 108)
            seen = await two.get("/v1/events/71", params={"min_revision": 1, "wait_ms": 20_000})
            assert seen.json()["name"] == "Concert 71"
            # The same again at another pod: the same answer.
            assert await opened(two, body) == told

            version = await asyncio.to_thread(buyer.holds, 71, "A", [(0, 5), (1, 0)])
            assert version == 2
            query = {"min_version": version, "wait_ms": 20_000}
            for client in (one, two):
                client.headers.update(BUYER)
                seats = (await client.get("/v1/events/71/sections/A/seats", params=query)).json()
                assert (seats["free"], seats["version"]) == (34, 2)
                assert (seats["currency"], seats["prices"]) == ("EUR", {"gold": 4_500})
                bits = base64.b64decode(seats["bitmap"])
                rows = [int.from_bytes(bits[at : at + 2], "little") for at in (0, 2, 4)]
                assert rows == [0xFFF ^ 1 << 5, 0xFFF ^ 1, 0xFFF]
                layout = (await client.get("/v1/events/71/sections/A/layout")).json()
                assert [row["aisles"] for row in layout["rows"]] == [[6]] * 3
                client.headers.update(OPERATOR)
            unknown = await one.get("/v1/events/71/sections/X/seats")
            assert (unknown.status_code, unknown.json()["reason"]) == (404, "UNKNOWN_SECTION")

            key = {"Idempotency-Key": "end-71"}
            closed = await two.post("/v1/events/71:close", headers=key)
            assert closed.status_code == 200, closed.text
            for name in ("A", "B", "C-1"):
                reason = await asyncio.to_thread(buyer.holds, 71, name, [(2, 0)])
                assert reason is Reason.SALE_CLOSED
            query = {"min_revision": closed.json()["revision"], "wait_ms": 20_000}
            seen = await one.get("/v1/events/71", params=query)
            assert seen.json()["sale_state"] == "closed"

        # A pod that starts now reads the same from the compacted topic.
        async with pod_of(brokers) as late:
            kept = (await late.get("/v1/events/71")).json()
            assert (kept["sale_state"], kept["currency"]) == ("closed", "EUR")

    asyncio.run(play())


def audited(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what the audit says of the topics once a look meets none of the worker's ticks."""
    judged: dict[str, Any] = {}

    def at_rest() -> bool:
        run(["audit", "--json", "--processes", "1"])
        judged.update(json.loads(capsys.readouterr().out))
        return bool(judged["verdict"] != "not at rest")

    assert wait_until(at_rest, 60)
    return judged


def test_i22_the_booking_queue_in_kafka_is_carried_out_without_redis_and_a_new_pod_knows_of_it(
    brokers: str,
    worker: Worker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two users ask for all four seats: who came first has them, also after a restart."""
    settings = ApiSettings(
        brokers=brokers, grpc_port=1, booking_queue="kafka", bookers=2, cache_dir=tmp_path
    )
    request = encoded(Wish("A", (), 4, 0, "", ())) or b""

    async def carried_out() -> list[Carried]:
        """Have a new pod take both requests in and carry them out; return what came of them."""
        pod = building.whole_pod(settings)
        carriers, queue = Carriers(pod), pod.booking.queue
        await pod.start()
        try:
            # Nobody calls it: it needs no keys of tokens.
            await until(lambda: all({**pod.readiness(), "keys": True}.values()))
            carriers.start()
            for user in ("ann", "ben"):
                assert isinstance(await queue.enqueue(79, user, "k", request), Enqueued)
            items = [item_id(user, "k", 79) for user in ("ann", "ben")]
            async with asyncio.timeout(60):
                while True:
                    found = [await queue.look(item) for item in items]
                    told = [decoded_outcome(one.outcome) for one in found if one and one.outcome]
                    if len(told) == len(items):
                        return told
                    await asyncio.sleep(PAUSE_S)
        finally:
            await carriers.stop()
            await pod.stop()

    async def play() -> None:
        async with pod_of(brokers) as client:
            hall = {"section": "A", "rows": 1, "seats": 4}
            await opened(client, opening(79, plan={"event": "Hall", "sections": [hall]}))
        held, refused = await carried_out()
        assert (held.reason, refused) == ("", Carried("", "SOLD_OUT"))
        assert held.reservation_id
        assert await carried_out() == [held, refused]

    asyncio.run(play())
    with fake_registry() as registry:
        fill(registry)
        monkeypatch.setenv("KAFKA_BROKERS", brokers)
        monkeypatch.setenv("SCHEMA_REGISTRY_URL", registry.url)
        monkeypatch.setenv("SEATSTREAM_API_BOOKING_QUEUE", "kafka")
        assert run(["booking-queue", "stats", "79"]) == 0
        assert "of 2 2 completed" in capsys.readouterr().out
        judged = audited(capsys)
    assert (judged["verdict"], judged["violations"]) == ("exact", 0), judged
    assert (judged["queues"], judged["queued"], judged["queues_moving"]) == (1, 0, 0)


class Visitor:
    """Waits for an event, and asks for its seats once let in."""

    def __init__(self, client: httpx.AsyncClient, event: int, name: str) -> None:
        self._client = client
        self._event = f"/v1/events/{event}"
        self._headers = {"Authorization": f"Bearer {name}:buyer", "Idempotency-Key": "one"}

    async def enter(self) -> Any:
        path = f"{self._event}/waiting-room"
        return (await self._client.post(path, json={}, headers=self._headers)).json()

    async def look(self) -> Any:
        path = f"{self._event}/waiting-room"
        return (await self._client.get(path, headers=self._headers)).json()

    async def leave(self) -> None:
        await self._client.delete(f"{self._event}/waiting-room", headers=self._headers)

    async def entry_token(self) -> str:
        """Return the token of who is let in, as soon as that is so."""
        async with asyncio.timeout(60):
            while True:
                told = await self.look()
                if told["state"] == "ADMITTED":
                    token: str = told["entry_token"]
                    return token
                await asyncio.sleep(PAUSE_S)

    async def reserve(self, seats: int, token: str | None = None) -> httpx.Response:
        headers = self._headers | ({} if token is None else {ENTRY_TOKEN: token})
        body = {"section": "A", "quantity": seats}
        return await self._client.post(f"{self._event}/reservations", json=body, headers=headers)

    async def give_back(self, place: str) -> None:
        assert (await self._client.delete(place, headers=self._headers)).status_code == 200


def test_u6_a_crowd_is_let_in_one_after_the_other_while_seats_can_be_bought(
    brokers: str, worker: Worker, redis_url: str
) -> None:
    """Four seats: two buyers hold them all, and the third is let in once one gives them back."""

    async def play() -> None:
        async with pod_of(brokers, redis_url) as pod:
            hall = {"section": "A", "rows": 1, "seats": 4}
            await opened(
                pod,
                opening(77, plan={"event": "Hall", "sections": [hall]}, admission_required=True),
            )
            room = "/v1/events/77/waiting-room/state"
            await pod.post(room, json={"state": "open", "cap": 2})
            ann, ben, cy = (Visitor(pod, 77, name) for name in ("ann-77", "ben-77", "cy-77"))
            for visitor in (ann, ben, cy):
                refused = await visitor.reserve(2)
                assert (refused.status_code, refused.json()["reason"]) == (403, ADMISSION_REQUIRED)
                assert (await visitor.enter())["state"] in {"WAITING", "ADMITTED"}
            tokens = [await ann.entry_token(), await ben.entry_token()]
            held = [
                await visitor.reserve(2, token)
                for visitor, token in zip((ann, ben), tokens, strict=True)
            ]
            assert [answer.status_code for answer in held] == [201, 201]
            # A token of another, and of who waits, buys nothing.
            assert (await cy.reserve(2, tokens[0])).status_code == 401
            assert (await cy.look())["state"] == "WAITING"
            await ann.leave()
            await ben.give_back(held[1].headers["location"])
            token = await cy.entry_token()
            assert (await cy.reserve(2, token)).status_code == 201
            told = (await pod.get(room)).json()
            assert (told["joined"], told["admitted"], told["done"]) == (3, 2, 1)

    asyncio.run(play())


def put_back(brokers: str, redis_url: str, *options: str) -> int:
    """Have an operator put a line back into Redis; return the exit code."""
    with pytest.MonkeyPatch.context() as patch, fake_registry() as registry:
        fill(registry)
        patch.setenv("KAFKA_BROKERS", brokers)
        patch.setenv("SCHEMA_REGISTRY_URL", registry.url)
        patch.setenv("REDIS_URL", redis_url)
        return run(["waiting-room", "rebuild", "78", "--yes", *options])


def faults_of_line(brokers: str, redis_url: str) -> list[str]:
    """Return what the audit finds of event 78's waiting room."""
    report = Report()
    with fake_registry() as registry, reading(Servers(brokers, registry.url)) as consumer:
        fill(registry)
        log = Log(WireFormat(Avro(), {}), 1)
        look_at_lines(consumer, log, redis_url)
        log.wire = wire_of(Servers(brokers, registry.url), log)
    judge_lines(log, report)
    return [one.anomaly for one in report.violations if one.message.startswith("event 78:")]


def test_u6_f66_a_line_that_redis_lost_is_put_back_and_nobody_is_let_in_twice(
    brokers: str,
    worker: Worker,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis is emptied in the middle of a line: all have their old places once it is put back."""
    # However slow the machine is, nobody is given up.
    for patience in ("STALE_MS", "NOT_OPEN_PATIENCE_MS", "SHOW_UP_MS", "SILENT_MS"):
        monkeypatch.setattr(waiting_rooms, patience, 3_600_000)
    names = [f"user-78-{at}" for at in range(9)]

    async def play() -> None:
        async with pod_of(brokers, server.url) as pod, redis_at(server.url) as client:
            hall = {"section": "A", "rows": 1, "seats": 20}
            await opened(
                pod,
                opening(78, plan={"event": "Hall", "sections": [hall]}, admission_required=True),
            )
            room = "/v1/events/78/waiting-room/state"
            await pod.post(room, json={"state": "open", "cap": 3})
            visitors = [Visitor(pod, 78, name) for name in names]
            for visitor in visitors:
                assert (await visitor.enter())["state"] in {"WAITING", "ADMITTED"}
            tokens = [await visitor.entry_token() for visitor in visitors[:3]]
            # Of those who are in one has given it back, and one of those who wait has left.
            await visitors[1].leave()
            tokens.append(await visitors[3].entry_token())
            await visitors[5].leave()
            await pod.post(room, json={"state": "paused"})
            before = [await visitor.look() for visitor in visitors]
            assert await asyncio.to_thread(put_back, brokers, server.url) == 2

            assert not await asyncio.to_thread(faults_of_line, brokers, server.url)
            await client.flushall()
            assert await asyncio.to_thread(faults_of_line, brokers, server.url) == ["line lost"]
            lost = await visitors[4].enter()
            assert (lost["status"], lost["reason"]) == (503, "ROOM_UNREACHABLE")
            assert (await visitors[0].reserve(1, tokens[0])).status_code == 503
            assert await asyncio.to_thread(put_back, brokers, server.url, "--dry-run") == 1
            assert not await client.exists(waiting_room(78)[0])
            assert await asyncio.to_thread(put_back, brokers, server.url) == 0
            after = [await visitor.look() for visitor in visitors]
            keys = ("state", "position", "last_ms")
            assert [[one[key] for key in keys] for one in after] == [
                [one[key] for key in keys] for one in before
            ]
            assert (await visitors[0].reserve(1, tokens[0])).status_code == 201

            # It goes on where it was; who was let in by a turn is let in by it no more.
            for spent in (1, 5):
                assert (await visitors[spent].enter())["reason"] == "ROOM_CLOSED"
            await pod.post(room, json={"state": "open", "cap": 20})
            for visitor in (visitors[4], *visitors[6:]):
                await visitor.entry_token()
            promoted: Any = await client.xrange(waiting_room(78)[6])
            assert [entry[b"user"].decode() for _, entry in promoted] == [names[4], *names[6:]]
            assert not await asyncio.to_thread(faults_of_line, brokers, server.url)

    asyncio.run(play())


def test_events_opened_at_one_moment_at_two_pods_are_one(brokers: str, worker: Worker) -> None:
    async def play() -> None:
        async with pod_of(brokers) as one, pod_of(brokers) as two:
            body = opening(72)
            other = {**body, "name": "Another"}
            answers = await asyncio.gather(
                *(opened(client, body) for client in (one, two, one, two)),
            )
            assert all(answer["name"] == "Concert 72" for answer in answers)
            key = {"Idempotency-Key": "another"}
            refused = await two.post("/v1/events", json=other, headers=key)
            assert (refused.status_code, refused.json()["reason"]) == (409, "CONFLICT")

    asyncio.run(play())


def test_bad_records_and_tombstones_leave_the_other_events_alone(
    brokers: str, worker: Worker
) -> None:
    async def play() -> None:
        async with pod_of(brokers) as client:
            for event_id in (73, 74):
                await opened(client, opening(event_id))
            producer = Producer({"bootstrap.servers": brokers})
            for key, value in (
                (b"73", b"rubbish"),
                (b"no number", b"\0\0\0\0\x19x"),
                (event_key(74), None),
            ):
                producer.produce(EVENTS.name, value, key, partition=0)
            assert producer.flush(10) == 0
            await opened(client, opening(75))
            answer = await client.get("/v1/events", params={"search": "concert"})
            listed = {one["event_id"] for one in answer.json()["events"]}
            assert {73, 75} <= listed
            assert 74 not in listed
        with EventCatalogue(brokers) as catalogue:
            await asyncio.to_thread(catalogue.wait_ready, 20)
            assert catalogue.counters.bad == {"BAD_WIRE_HEADER": 1, "BAD_KEY": 1}
            assert catalogue.counters.removed == 1
            event = catalogue.get(73)
            assert event is not None
            assert event.status is EventStatus.ON_SALE

    asyncio.run(play())


def test_while_the_worker_is_paused_an_opening_is_pending_and_is_completed_later(
    brokers: str, worker: Worker
) -> None:
    async def play() -> None:
        async with pod_of(brokers) as client:
            headers = {"Idempotency-Key": "open-76", "Prefer": "wait=1"}
            body = opening(76)
            worker.pause()
            try:
                answer = await client.post("/v1/events", json=body, headers=headers)
                assert answer.status_code == 202
                assert answer.json()["sale_state"] == "opening"
                assert answer.json()["pending_sections"] == ["A", "B", "C-1"]
            finally:
                worker.resume()
            done = await opened(client, body)
            assert (done["sale_state"], done["revision"]) == ("on_sale", 2)

    asyncio.run(play())
