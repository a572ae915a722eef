"""Reservations through pod processes, on a real broker, worker and Redis, while things go wrong.

Clients reach the broker only through a proxy, so that answers can be lost.
"""

import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from faults.proxy import PRODUCE, Proxy
from integration.conftest import FAST_SESSIONS
from integration.pods import PodProcess, Servers, append, logged, reason, run_script
from integration.workers import Worker
from support.registries.filled import put_schemas

from infra.stack import QUICK_RESTART, Stack
from infra.stack.ports import free_ports
from infra.stack.processes import wait_until
from infra.stack.running import ephemeral_directory
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from scripts.traffic.sending import schema_ids
from state.domain.keys import issued_id, partition_of, section_key, stem_of
from state.records.commands import CommandEncoders

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

EVENT = 7
PARTITIONS = 4
SECTIONS = ("HOT", "COOL", "OTHER")
PLAN = {
    "event": "Pods",
    "sections": [
        {"section": name, "rows": 40, "seats": 50, "category": "front"} for name in SECTIONS
    ],
    "currency": "EUR",
    "prices": {"front": 4_500},
}
SETTINGS_BY_POD: dict[str, dict[str, str]] = {
    # Longer than any wait of a test for something to end.
    "one": {"SEATSTREAM_API_WAIT_MAX_MS": "60000"},
    "two": {},
    "victim": {"FAILPOINTS": "api.after_send:kill:1"},
    # One command of a section at a time, four in all.
    "flooded": {"SEATSTREAM_API_IN_FLIGHT_MAX": "4"},
    # Takes its memory of reservations for too old most of the time.
    "stale": {"SEATSTREAM_API_STALE_AFTER_MS": "100"},
}
POD_PRODUCER = b"seatstream-command-log"
# A worker that is paused for half its session ends itself, and nobody starts it again. After a
# kill it takes its own place in the group again at once.
OUTLIVES_A_PAUSE = {"SEATSTREAM_SESSION_TIMEOUT_S": "120", "SEATSTREAM_STATIC_MEMBERSHIP": "1"}


class Place:
    """The stack, its proxy, one worker and two pods."""

    def __init__(self, servers: Servers, stack: Stack, proxy: Proxy) -> None:
        self.servers = servers
        self.stack = stack
        self.proxy = proxy
        environment = {
            name: value
            for name, value in servers.variables().items()
            if name in {"KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"}
        }
        self.worker = Worker(
            "worker",
            servers.directory,
            {**environment, **OUTLIVES_A_PAUSE},
        )
        self.pods: dict[str, PodProcess] = {}

    def pod(self, name: str, **settings: str) -> None:
        self.pods[name] = PodProcess(self.servers, name, **settings)

    def count(self, topic: str, place: str) -> int:
        reservation_id = place.rpartition("/")[2]
        return len(logged(self.servers.brokers, topic, PARTITIONS, reservation_id))

    def confirm(self, section: str, reservation_id: str) -> None:
        encoders = CommandEncoders(schema_ids(self.servers.registry_url))
        key = section_key(EVENT, section)
        identity = encoders.identity(reservation_id, "ann", section, EVENT)
        value = encoders.confirm(identity, 1)
        partition = partition_of(key, PARTITIONS)
        append(self.servers.brokers, SECTION_COMMANDS.name, key, value, partition)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    (port,) = free_ports(1)
    properties = {
        **QUICK_RESTART,
        **FAST_SESSIONS,
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
    }
    folder: Path = tmp_path_factory.mktemp("pods")
    with ephemeral_directory("tests-pods") as directory:
        parts = {"kafka", "registry", "redis"}
        put_schemas(directory)
        stack = Stack(directory, 1, parts, properties, fast_jit=True, throw_away=True)
        with Proxy(port, lambda: int(stack.kafka_brokers.rpartition(":")[2])) as proxy, stack:
            servers = Servers(f"127.0.0.1:{port}", stack.registry_url, stack.redis_url, folder)
            there = Place(servers, stack, proxy)
            try:
                run_script(servers, "create_topics", "--partitions", str(PARTITIONS))
                there.worker.start("topology")
                # All at once: most of a pod's start is waiting.
                for name, settings in SETTINGS_BY_POD.items():
                    there.pod(name, **settings)
                there.worker.wait_ready()
                for pod in there.pods.values():
                    pod.wait_ready()
                plan = folder / "plan.json"
                plan.write_text(json.dumps(PLAN))
                run_script(servers, "open_event", str(plan), "--event-id", str(EVENT))
                yield there
            finally:
                for pod in there.pods.values():
                    pod.end()
                if there.worker.child is not None:
                    there.worker.kill()


@pytest.fixture
def one(place: Place) -> PodProcess:
    return place.pods["one"].wait_ready()


@pytest.fixture
def two(place: Place) -> PodProcess:
    return place.pods["two"].wait_ready()


def id_in(answer: httpx.Response) -> str:
    return answer.headers["location"].rpartition("/")[2]


def test_a_reservation_is_made_at_one_pod_and_confirmed_and_shown_at_another(
    place: Place, one: PodProcess, two: PodProcess
) -> None:
    made = one.create(EVENT, "sold", "OTHER", 3)
    assert made.status_code == 201, made.text
    at = made.headers["location"]
    # Every pod knows it, whoever made it, as soon as the client does.
    shown = two.client.get(at)
    assert shown.content == made.content
    poll_headers = {"Prefer": "wait=9"}
    changed = f"{at}?changed_from={made.json()['outcome_id']}"
    with ThreadPoolExecutor(1) as threads:
        polled = threads.submit(two.client.get, changed, headers=poll_headers)
        assert wait_until(lambda: two.metric("seatstream_api_waiters") == 1, 60)
        place.confirm("OTHER", id_in(made))
        sold = polled.result(60)
    assert sold.json()["status"] == "SOLD"
    for fixed in ("seats", "amount", "currency"):
        assert sold.json()[fixed] == made.json()[fixed]
    assert (made.json()["amount"], made.json()["currency"]) == (13_500, "EUR")
    assert reason(one.client.delete(at)) == (409, "ALREADY_SOLD")
    # Nobody has this one: the owner is asked, and says so.
    nobody = two.show(f"/v1/reservations/{'a' * 26}-0")
    assert reason(nobody) == (404, "UNKNOWN_RESERVATION")
    for pod in (one, two):
        assert pod.metric("seatstream_api_waiters") == 0


def test_f08_the_same_request_at_two_pods_at_the_same_moment_is_one_reservation(
    place: Place, one: PodProcess, two: PodProcess
) -> None:
    barrier = threading.Barrier(4)

    def ask(pod: PodProcess, key: str) -> httpx.Response:
        barrier.wait(60)
        return pod.create(EVENT, key, "OTHER", 2)

    answers: list[httpx.Response] = []
    with ThreadPoolExecutor(4) as threads:
        for number in range(10):
            asked = [threads.submit(ask, pod, f"same-{number}") for pod in (one, two, one, two)]
            answers = [one.result(60) for one in asked]
            assert {answer.status_code for answer in answers} == {201}
            assert len({answer.content for answer in answers}) == 1
    told = logged(place.servers.brokers, RESERVATION_OUTCOMES.name, PARTITIONS, id_in(answers[0]))
    assert len(told) == 4
    assert len({record.value for record in told}) == 1


def test_f01_a_pod_killed_after_the_append_has_made_one_reservation(
    place: Place, two: PodProcess
) -> None:
    victim = place.pods["victim"]
    with pytest.raises(httpx.HTTPError):
        victim.create(EVENT, "killed", "OTHER", 2)
    assert victim.child.wait(60) != 0
    again = two.create(EVENT, "killed", "OTHER", 2)
    assert again.status_code == 201, again.text
    assert two.create(EVENT, "killed", "OTHER", 2).content == again.content
    told = logged(place.servers.brokers, RESERVATION_OUTCOMES.name, PARTITIONS, id_in(again))
    # The one that was killed, and two repeats: all of them the same outcome.
    assert len(told) == 3
    assert len({record.value for record in told}) == 1


def test_f02_f03_a_produce_whose_answer_is_lost_is_pending_and_then_the_truth(
    place: Place, one: PodProcess, two: PodProcess
) -> None:
    place.proxy.silences = lambda key, request: key == PRODUCE and POD_PRODUCER in request[:64]
    place.worker.pause()
    try:
        # Told while nobody acknowledges it, nor could.
        pending = one.create(EVENT, "lost", "OTHER", 2, wait_s=1)
        assert pending.status_code == 202, pending.text
        assert pending.json()["status"] == "PENDING"
    finally:
        place.worker.resume()
    # The brokers have it, though they cannot say so: its outcome does.
    at = pending.headers["location"]
    assert two.becomes(at, "HELD")
    shown = two.show(at)
    sent = one.create(EVENT, "lost too", "COOL", 1, wait_s=9)
    place.proxy.silences = lambda _key, _request: False
    assert sent.status_code == 201, sent.text
    # The partitions take commands again when they have told what became of these.
    assert wait_until(lambda: one.create(EVENT, "lost", "OTHER", 2).content == shown.content, 60)
    # The client library asked again for what it had no answer to; the log has it once.
    assert place.count(SECTION_COMMANDS.name, sent.headers["location"]) == 1
    # A client that sends it twice itself gets the first outcome again.
    partition = partition_of(section_key(EVENT, "COOL"), PARTITIONS)
    [record] = logged(place.servers.brokers, SECTION_COMMANDS.name, PARTITIONS, id_in(sent))
    assert record.value is not None
    append(place.servers.brokers, SECTION_COMMANDS.name, record.key, record.value, partition)

    def told() -> list[bytes | None]:
        topic = RESERVATION_OUTCOMES.name
        records = logged(place.servers.brokers, topic, PARTITIONS, id_in(sent))
        return [record.value for record in records]

    assert wait_until(lambda: len(told()) == 2, 60)
    assert len(set(told())) == 1


def test_f04_a_cancellation_that_comes_before_the_hold_stands(
    one: PodProcess, two: PodProcess
) -> None:
    partition = partition_of(section_key(EVENT, "OTHER"), PARTITIONS)
    at = f"/v1/reservations/{issued_id(stem_of('ann', 'early'), partition)}"
    key = {"Idempotency-Key": "early"}
    cancelled = one.client.delete(f"{at}?event_id={EVENT}&section=OTHER", headers=key)
    assert cancelled.status_code == 200, cancelled.text
    assert reason(two.create(EVENT, "early", "OTHER", 2)) == (409, "CANCELLED")
    assert two.client.get(at).content == cancelled.content


def test_f09_a_flood_on_one_section_is_refused_and_others_keep_their_pace(place: Place) -> None:
    pod = place.pods["flooded"]
    over = threading.Event()
    statuses: Counter[int] = Counter()

    def flood(number: int) -> None:
        count = 0
        while not over.is_set():
            answer = pod.create(EVENT, f"flood-{number}-{count}", "HOT")
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
            statuses[answer.status_code] += 1
            count += 1

    with ThreadPoolExecutor(10) as threads:
        flooding = [threads.submit(flood, number) for number in range(10)]
        try:
            assert wait_until(lambda: statuses[429] > 50, 60)
            refused = statuses[429]
            # The flood does not abate, and nobody here is refused or put off.
            for number in range(30):
                assert pod.create(EVENT, f"calm-{number}", "COOL").status_code == 201
            assert statuses[429] > refused
        finally:
            over.set()
        for one in flooding:
            one.result(60)
    assert statuses.keys() <= {201, 429, 409}
    assert statuses[201] > 0
    assert pod.metric("seatstream_api_waiters") == 0
    assert pod.metric("seatstream_api_commands_in_flight") == 0


def test_s8_what_one_pod_told_is_shown_by_every_pod_at_once(place: Place, one: PodProcess) -> None:
    stale = place.pods["stale"]

    def buy(number: int) -> list[int]:
        made = stale.create(EVENT, f"told-{number}", "HOT" if number % 2 else "COOL")
        assert made.status_code == 201, made.text
        at, version = made.headers["location"], made.json()["version"]
        shown = [pod.show(at) for pod in (stale, one, stale)]
        seen = [answer.json().get("version", version) for answer in shown]
        given_back = stale.client.delete(at)
        assert given_back.status_code == 200, given_back.text
        after = stale.show(at)
        seen.append(after.json().get("version", given_back.json()["version"]))
        assert seen == sorted(seen)
        assert after.json().get("status", "RELEASED") == "RELEASED"
        return [answer.status_code for answer in (*shown, after)]

    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(status for told in threads.map(buy, range(200)) for status in told)
    # An owner that is behind for longer than a look-up waits says so; nobody says "not found".
    assert statuses.keys() <= {200, 503}, statuses
    assert statuses[200] > statuses[503], statuses


def test_f6_waits_of_clients_that_went_end_with_them(place: Place, one: PodProcess) -> None:
    token = one.client.headers["Authorization"]
    nobody = f"/v1/reservations/{'c' * 26}-0"
    request = f"GET {nobody} HTTP/1.1\r\nHost: pod\r\nAuthorization: {token}\r\n"
    waiting = []
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", one.port), 20)
        connection.sendall(f"{request}Prefer: wait=60\r\n\r\n".encode())
        waiting.append(connection)
    assert wait_until(lambda: one.metric("seatstream_api_waiters") == 20, 60)
    for connection in waiting:
        connection.close()
    assert wait_until(lambda: one.metric("seatstream_api_waiters") == 0, 60)


def test_f4_of_many_buyers_at_once_nobody_is_told_that_they_or_the_brokers_were_slow(
    place: Place, two: PodProcess
) -> None:
    buyers = 1_500
    token = two.client.headers["Authorization"]
    body = b'{"section":"HOT","quantity":1}'
    connections = []
    with ExitStack() as stack:
        for number in range(buyers):
            connection = socket.create_connection(("127.0.0.1", two.port), 60)
            stack.callback(connection.close)
            head = (
                f"POST /v1/events/{EVENT}/reservations HTTP/1.1\r\nHost: pod\r\n"
                f"Authorization: {token}\r\nIdempotency-Key: rush-{number}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connections.append((connection, head.encode() + body))
        for connection, request in connections:
            connection.sendall(request)
        statuses: Counter[int] = Counter()
        for connection, _ in connections:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            statuses[answer.status] += 1
            if answer.status == 503:
                assert b"BROKER_UNAVAILABLE" not in answer.read()
    assert statuses.keys() <= {201, 202, 409, 429, 503}, statuses
    assert statuses[201] > 0


def test_f4_of_200_look_ups_beside_a_reservation_none_is_answered_wrongly_and_nobody_starves(
    place: Place, one: PodProcess
) -> None:
    stale = place.pods["stale"]
    made = [one.create(EVENT, f"looked-up-{number}", "COOL", wait_s=20) for number in range(10)]
    truth = {
        answer.headers["location"]: (200, "HELD", answer.json()["seats"]) for answer in made
    } | {
        f"/v1/reservations/{'d' * 25}{letter}-{number % PARTITIONS}": (404, None, None)
        for number, letter in enumerate("abcdefghij")
    }

    def told(at: str) -> tuple[int, str | None, object]:
        answer = stale.show(at)
        if answer.status_code in {429, 503}:
            # Whoever is put off is not told that there is none.
            assert answer.json()["reason"] in {"OVERLOADED", "NOT_READY", "OWNER_UNREACHABLE"}
            assert int(answer.headers["retry-after"]) >= 0
            return answer.status_code, None, None
        body = answer.json()
        return (
            answer.status_code,
            body.get("status") if answer.is_success else None,
            body.get("seats"),
        )

    looked_up = place.worker.metric("seatstream_lookups_total")
    asked = [*truth] * 10
    with ThreadPoolExecutor(len(asked) + 1) as threads:
        answers = [threads.submit(told, at) for at in asked]
        beside = threads.submit(one.create, EVENT, "beside look-ups", "HOT", wait_s=30)
    assert beside.result().status_code == 201, beside.result().text
    wrong = [
        (at, answer.result())
        for at, answer in zip(asked, answers, strict=True)
        if answer.result()[0] not in {429, 503} and answer.result() != truth[at]
    ]
    assert not wrong
    # The owner was asked, not only the pod's memory; and nobody is put off for ever.
    assert place.worker.metric("seatstream_lookups_total") > looked_up
    assert wait_until(lambda: all(told(at) == expected for at, expected in truth.items()), 60)


def test_f64_without_redis_reservations_are_made_and_repeats_still_known(
    place: Place, one: PodProcess, two: PodProcess
) -> None:
    place.stack.stop_redis()
    try:
        made = one.create(EVENT, "no redis", "OTHER", 2)
        assert made.status_code == 201, made.text
        for pod in (one, two):
            assert pod.create(EVENT, "no redis", "OTHER", 2).content == made.content
            for section, quantity in (("OTHER", 3), ("HOT", 2)):
                answer = pod.create(EVENT, "no redis", section, quantity)
                assert reason(answer) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert one.metric("seatstream_api_idempotency_unknown_total") > 0
    finally:
        place.stack.start_redis()

    def compares_again() -> bool:
        two.create(EVENT, "redis", "OTHER", 1)
        return reason(one.create(EVENT, "redis", "COOL", 1)) == (422, "IDEMPOTENCY_KEY_REUSED")

    assert wait_until(compares_again, 60)


def test_without_a_broker_nothing_is_accepted_and_its_return_is_enough(
    place: Place, one: PodProcess
) -> None:
    place.stack.kill_broker()
    try:
        answers = [one.create(EVENT, f"down-{number}", "OTHER", wait_s=1) for number in range(3)]
        # The first may be on its way; the others do not join a queue that nobody empties.
        assert answers[0].status_code in {202, 503}
        assert [reason(answer) for answer in answers[1:]] == [(503, "BROKER_UNAVAILABLE")] * 2
    finally:
        place.stack.start_broker()

    def works() -> bool:
        # A worker that was committing when the broker died ends itself.
        place.worker.revive("topology")
        return one.create(EVENT, "up again", "OTHER", 2).status_code == 201

    assert wait_until(works, 120), place.worker.tail()
    assert one.client.get("/health/ready").status_code == 200
    assert one.metric("seatstream_api_waiters") == 0


def test_a_dead_owner_is_told_apart_from_a_reservation_that_is_not_there(
    place: Place, one: PodProcess
) -> None:
    unknown = f"/v1/reservations/{'b' * 26}-1"

    def is_certain() -> bool:
        # Not before worker and pod have caught up with what came before.
        place.worker.revive("topology")
        return reason(one.show(unknown)) == (404, "UNKNOWN_RESERVATION")

    assert wait_until(is_certain, 120), place.worker.tail()
    place.worker.kill()
    try:
        assert reason(one.show(unknown)) == (503, "OWNER_UNREACHABLE")
        # Pending while nobody decides, and decided when somebody does.
        pending = one.create(EVENT, "nobody works", "OTHER", 2, wait_s=0)
        assert pending.status_code == 202
        assert reason(one.create(EVENT, "nobody works", "OTHER", 2, wait_s=0)) == (
            409,
            "STILL_RUNNING",
        )
    finally:
        place.worker.start("topology").wait_ready()
    assert one.becomes(pending.headers["location"], "HELD")
