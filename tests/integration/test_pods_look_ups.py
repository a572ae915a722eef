"""Look-ups and streams through pod processes on a real broker, which is paused and pods too."""

import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from integration.pods import PodProcess, Servers, reason, run_script
from integration.stream_clients import Crowd, StreamClient, free_of
from integration.workers import producing
from support.records.status_records import counts, value_of

from infra.stack import QUICK_RESTART, Stack, ephemeral_stack
from infra.stack.processes import wait_until
from infra.stack.running import ephemeral_directory
from schemas.topics import SECTION_STATUS
from scripts.program.main import run
from state.domain.keys import partition_of, section_key
from state.domain.status import SectionStatus
from state.views.following.ages import boot_clock_ns

pytestmark = pytest.mark.kafka

PARTITIONS = 4
STALE_AFTER_MS = 1_500
CLIENTS = 5_000
MB = 1 << 20


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a broker that may be paused."""
    with ephemeral_stack(
        "tests-pods-look-ups", parts={"kafka"}, kafka_properties=QUICK_RESTART, fast_jit=True
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def servers(stack: Stack) -> Iterator[Servers]:
    with ephemeral_directory("tests-pods-look-ups-pods") as directory:
        servers = Servers(stack.kafka_brokers, "", "", Path(directory))
        run_script(servers, "create_topics", "--partitions", str(PARTITIONS))
        yield servers


@pytest.fixture(scope="module")
def pods(servers: Servers) -> Iterator[tuple[PodProcess, PodProcess]]:
    started: list[PodProcess] = []
    try:
        for name in ("one", "two"):
            settings = {"SEATSTREAM_API_STALE_AFTER_MS": str(STALE_AFTER_MS)}
            started.append(PodProcess(servers, name, **settings))
        yield started[0].wait_ready(), started[1].wait_ready()
    finally:
        for pod in started:
            pod.end()


def publish(servers: Servers, event: int, *told: tuple[str, SectionStatus]) -> None:
    with producing(servers.brokers) as producer:
        for section, status in told:
            key = section_key(event, section)
            value = value_of(status, section, event)
            producer.produce(SECTION_STATUS.name, value, key, partition_of(key, PARTITIONS))


def look_up(pod: PodProcess, event: int, **query: str | int) -> httpx.Response:
    return pod.client.get(f"/v1/events/{event}/availability", params=query)


def stream_of(event: int) -> str:
    return f"/v1/events/{event}/availability/stream"


def test_two_pods_give_the_same_answer_with_the_same_tag(
    servers: Servers, pods: tuple[PodProcess, PodProcess]
) -> None:
    event = 11
    publish(servers, event, *((f"S-{n}", counts(1, n)) for n in range(40)))
    publish(servers, event, *((f"S-{n}", counts(2, n + 1)) for n in range(0, 40, 2)))
    tokens = ",".join(f"{event}-S-{n}:{2 - n % 2}" for n in range(40))
    answers: list[httpx.Response] = []

    def are_fresh() -> bool:
        answers[:] = [
            look_up(pod, event, consistency_token=tokens, wait_ms=10_000) for pod in pods
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        # A tag tells fresh from stale, which one of them may be on a busy machine.
        return not any(answer.json()["stale"] for answer in answers)

    assert wait_until(are_fresh, 60)
    expected = {f"S-{n}": n if n % 2 else n + 1 for n in range(40)}
    assert [free_of(answer) for answer in answers] == [expected, expected]
    assert answers[0].headers["etag"] == answers[1].headers["etag"]
    known = {"If-None-Match": answers[0].headers["etag"]}

    def is_known() -> bool:
        again = pods[1].client.get(f"/v1/events/{event}/availability", headers=known)
        assert int(again.headers["seatstream-staleness-ms"]) >= 0
        return again.status_code == 304

    assert wait_until(is_known, 60)


def test_what_pods_answer_is_compared_with_the_log(
    servers: Servers,
    pods: tuple[PodProcess, PodProcess],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = 114
    publish(servers, event, ("A", counts(3, 50)), ("B", counts(1, 7)))
    monkeypatch.setenv("KAFKA_BROKERS", servers.brokers)
    # As for the pods, there is none: the pins serve.
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SEATSTREAM_TOKEN", servers.keys.token("ann", ("buyer",)))
    urls = [f"http://127.0.0.1:{pod.port}" for pod in pods]
    assert run(["lookup", "pods", str(event), *urls, "--within", "60", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"event_id": event, "sections": 2, "pods": {url: [] for url in urls}}
    assert run(["lookup", "pods", str(event), urls[0], "http://127.0.0.1:1", "--within", "0"]) == 1
    assert "cannot be asked" in capsys.readouterr().out
    assert run(["lookup", "availability", str(event), "A", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"]["A"]["free"] == 50
    assert run(["lookup", "availability", "404"]) == 1


def test_f79_a_lower_version_that_comes_later_changes_no_pods_answer(
    servers: Servers, pods: tuple[PodProcess, PodProcess]
) -> None:
    event = 12
    before = [pod.metric("seatstream_view_older_total") for pod in pods]
    publish(servers, event, ("A", counts(5, 50)), ("B", counts(1, 1)))
    publish(servers, event, ("A", counts(4, 99)))
    # B's partition may be another one: whoever sees version 2 of A itself has seen version 4.
    publish(servers, event, ("A", counts(6, 49)))
    for pod, older in zip(pods, before, strict=True):
        seen = []
        with_age = look_up(pod, event, sections="A", min_version=5, wait_ms=10_000)
        seen.append(free_of(with_age)["A"])
        last = look_up(pod, event, sections="A", min_version=6, wait_ms=10_000)
        seen.append(free_of(last)["A"])
        assert set(seen) <= {50, 49}
        assert seen[-1] == 49
        assert pod.metric("seatstream_view_older_total") == older + 1


def test_f80_a_pod_answers_nothing_before_it_has_read_everything(servers: Servers) -> None:
    event = 13
    publish(servers, event, *((f"S-{n}", counts(1, n)) for n in range(2_000)))
    pod = PodProcess(servers, "cold")
    statuses = set()
    try:

        def has_answered() -> bool:
            try:
                answer = look_up(pod, event)
            except httpx.TransportError:
                return False
            statuses.add(answer.status_code)
            if answer.status_code == 503:
                assert reason(answer) == (503, "NOT_READY")
                assert int(answer.headers["retry-after"]) >= 1
                return False
            # The very first answer is the whole one.
            assert answer.status_code == 200
            assert free_of(answer) == {f"S-{n}": n for n in range(2_000)}
            return True

        assert wait_until(has_answered, 60), pod.child.output()
        assert statuses <= {200, 503}
        assert reason(look_up(pod, 987_654)) == (404, "NOT_FOUND")
    finally:
        pod.end()


@contextmanager
def paused(pod: PodProcess) -> Iterator[None]:
    process = psutil.Process(pod.child.pid)
    os.kill(pod.child.pid, signal.SIGSTOP)
    try:
        assert wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 60)
        yield
    finally:
        os.kill(pod.child.pid, signal.SIGCONT)


def until_read(client: StreamClient, is_done: Callable[[], bool]) -> bool:
    return wait_until(lambda: client.read() is not None and is_done(), 60)


def test_f81_a_paused_pod_says_stale_first_and_then_what_it_missed(
    servers: Servers, stack: Stack, pods: tuple[PodProcess, PodProcess]
) -> None:
    """The broker sleeps too when the pod wakes, so that no question of its can be answered."""
    event, opened_meanwhile = 14, 1_415
    pod = pods[0]
    publish(servers, event, ("A", counts(1, 0)))
    fresh = look_up(pod, event, sections="A", min_version=1, max_staleness_ms=1_000, wait_ms=9_000)
    assert fresh.json()["stale"] is False
    stream = StreamClient(pod.client, stream_of(event))
    assert until_read(stream, lambda: kinds_in(stream) == ["snapshot"])
    try:
        with paused(pod):
            publish(servers, event, ("A", counts(2, 5)))
            publish(servers, opened_meanwhile, ("A", counts(1, 9)))
            stack.pause_broker()
            over_ns = boot_clock_ns() + (STALE_AFTER_MS + 200) * 1_000_000
            assert wait_until(lambda: boot_clock_ns() > over_ns, 60)
        answer = look_up(pod, event)
        assert (answer.status_code, answer.json()["stale"]) == (200, True)
        assert answer.json()["staleness_ms"] > STALE_AFTER_MS
        refused = look_up(pod, event, on_stale="refuse", wait_ms=0)
        assert reason(refused) == (409, "STALE")
        # What it has not read yet is not denied, and what it calls unknown is not to be relied on.
        assert reason(look_up(pod, opened_meanwhile)) == (503, "NOT_READY")
        beside = look_up(pod, event, sections="A,B").json()
        assert (beside["unknown_sections"], beside["stale"]) == (["B"], True)
        # Whose holder had it fresh is told, though no section need have changed.
        assert until_read(stream, lambda: "age" in stream.holder.kinds or _is_told_stale(stream))
    finally:
        stack.resume_broker()
    back = look_up(pod, event, sections="A", min_version=2, max_staleness_ms=1_000, wait_ms=10_000)
    assert back.status_code == 200
    assert (free_of(back)["A"], back.json()["stale"]) == (5, False)

    def is_found() -> bool:
        answer = look_up(pod, opened_meanwhile)
        assert answer.status_code in {200, 503}, answer.text
        return answer.status_code == 200

    assert wait_until(is_found, 60)
    assert until_read(stream, lambda: (stream.holder.sections or {}).get("A", (0,))[0] == 2)
    stream.close()


def kinds_in(stream: StreamClient) -> list[str]:
    """Return the kinds of what came; ages, which a busy machine adds, are left out."""
    return [kind for kind in stream.holder.kinds if kind != "age"]


def _is_told_stale(stream: StreamClient) -> bool:
    return stream.holder.kinds[-1:] == ["delta"]


def _has_all(pod: PodProcess, event: int, sections: list[str]) -> bool:
    tokens = ",".join(f"{event}-{section}:1" for section in sections)
    return look_up(pod, event, consistency_token=tokens, wait_ms=5_000).status_code == 200


def test_a_stream_goes_on_at_another_pod(
    servers: Servers, pods: tuple[PodProcess, PodProcess]
) -> None:
    event = 15
    publish(servers, event, *((f"S-{n}", counts(1, 9)) for n in range(20)))
    for pod in pods:
        # The broker was asleep a moment ago, and pods find their way back to it when they can.
        is_there = partial(_has_all, pod, event, [f"S-{n}" for n in range(20)])
        assert wait_until(is_there, 60), pod.child.output()[-2_000:]
    first = StreamClient(pods[0].client, stream_of(event))
    assert until_read(first, lambda: kinds_in(first) == ["snapshot"])
    publish(servers, event, ("S-3", counts(2, 8)))
    assert until_read(first, lambda: kinds_in(first) == ["snapshot", "delta"])
    first.close()
    publish(servers, event, ("S-4", counts(2, 7)), ("S-5", counts(2, 6)))
    assert look_up(pods[1], event, sections="S-5", min_version=2).status_code == 200
    assert look_up(pods[1], event, sections="S-4", min_version=2).status_code == 200
    second = StreamClient(pods[1].client, stream_of(event), first.holder.last_id)
    second.holder.sections = first.holder.sections
    assert until_read(second, lambda: bool(kinds_in(second)))
    assert kinds_in(second) == ["delta"]
    told = {f"S-{n}": (1, 9, 0, 9) for n in range(20)}
    assert second.holder.sections == told | {
        "S-3": (2, 8, 0, 8),
        "S-4": (2, 7, 0, 7),
        "S-5": (2, 6, 0, 6),
    }
    second.close()


def test_a_client_that_does_not_read_is_dropped_and_costs_no_memory(
    servers: Servers, pods: tuple[PodProcess, PodProcess]
) -> None:
    event = 16
    pod = pods[0]
    sections = [f"S-{n}" for n in range(400)]
    publish(servers, event, *((name, counts(1, 9)) for name in sections))
    last = look_up(pod, event, sections="S-399", min_version=1, wait_ms=10_000)
    assert last.status_code == 200
    slow = StreamClient(pod.client, stream_of(event), receive_bytes=4_096)
    quick = StreamClient(pod.client, stream_of(event))
    assert wait_until(lambda: pod.metric("seatstream_api_streams_open") == 2, 60)
    version = 1
    dropped = pod.metric("seatstream_api_streams_dropped_total")

    def is_dropped() -> bool:
        nonlocal version
        version += 1
        publish(servers, event, *((name, counts(version, 9)) for name in sections))
        # The one who reads gets everything, whatever becomes of the other.
        told = dict.fromkeys(sections, (version, 9, 0, 9))
        assert until_read(quick, lambda: quick.holder.sections == told)
        return pod.metric("seatstream_api_streams_dropped_total") == dropped + 1

    before = psutil.Process(pod.child.pid).memory_info().rss
    assert wait_until(is_dropped, 60), f"after {version} versions"
    assert wait_until(lambda: pod.metric("seatstream_api_streams_open") == 1, 60)
    assert psutil.Process(pod.child.pid).memory_info().rss - before < 40 * MB

    def has_ended() -> bool:
        slow.read()
        return slow.is_closed

    # The connection is closed rather than ended in order: a client must not think it complete.
    assert wait_until(has_ended, 60)
    slow.close()
    assert not quick.is_closed
    quick.close()


@pytest.fixture
def many_files() -> None:
    """Allow as many connections as the test needs, on both sides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * CLIENTS + 1_000
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            # Nobody reads the reason of a test that is left out.
            pytest.fail(f"ulimit -Hn is {hard}, and this test needs {needed} files: raise it")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@pytest.mark.timeout(420)
def test_5000_clients_follow_one_event_in_one_pod_and_leave_nothing_behind(
    servers: Servers, many_files: None
) -> None:
    event = 17
    sections = [f"S-{n}" for n in range(20)]
    publish(servers, event, *((name, counts(1, 9)) for name in sections))
    pod = PodProcess(servers, "crowded", SEATSTREAM_API_STREAMS_PER_USER=str(CLIENTS))
    crowd = Crowd()
    try:
        pod.wait_ready()
        process = psutil.Process(pod.child.pid)
        idle_bytes, idle_files = process.memory_info().rss, process.num_fds()
        for number in range(CLIENTS):
            crowd.join(StreamClient(pod.client, stream_of(event)))
            if number % 250 == 0:
                # Whoever connects that fast has to read in between.
                assert crowd.read_until(lambda client: client.received_bytes > 0, 60)
        assert crowd.read_until(lambda client: client.holder.kinds, 90), "not all have begun"
        assert {client.status for client in crowd.clients} == {200}
        assert pod.metric("seatstream_api_streams_open") == CLIENTS
        for version in range(2, 7):
            publish(servers, event, *((name, counts(version, 9 - version)) for name in sections))
        expected = dict.fromkeys(sections, (6, 3, 0, 3))
        assert crowd.read_until(lambda client: client.holder.sections == expected, 90)
        # One pod, one event: look-ups go on beside it.
        assert look_up(pod, event).status_code == 200
        per_client = (process.memory_info().rss - idle_bytes) / CLIENTS
        assert per_client < 64 * 1024, f"{per_client:.0f} bytes for each client"
        assert pod.metric("seatstream_api_streams_dropped_total") == 0
        crowd.close()
        assert wait_until(lambda: pod.metric("seatstream_api_streams_open") == 0, 60)
        assert wait_until(lambda: process.num_fds() <= idle_files + 5, 60)
    finally:
        crowd.close()
        pod.end()
