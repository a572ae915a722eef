"""A pod as a process: it starts without brokers, says so, ends cleanly, and shares no port."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.pages.tokens import write_jwks

from api.serving import PortTaken, listen_at
from infra.paths import ROOT
from infra.stack.ports import free_ports
from infra.stack.processes import Child, child_environment, wait_until

pytestmark = pytest.mark.programs

# Nobody listens here, and nobody answers either.
NO_BROKER = "127.0.0.1:1"


class PodProcess:
    """One `python -m api`."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.port = free_ports(1)[0]
        environment = child_environment() | {
            "KAFKA_BROKERS": NO_BROKER,
            "PYTHONPATH": str(ROOT),
            "SEATSTREAM_API_PORT": str(self.port),
            "SEATSTREAM_API_JWKS": str(write_jwks(folder)),
            "SEATSTREAM_API_CACHE_DIR": str(folder),
            **settings,
        }
        command = [sys.executable, "-m", "api"]
        self.child = Child(command, ROOT, folder / "pod.log", environment)

    def status(self, path: str) -> int:
        """Return the status of a page; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=60
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code
        except OSError:
            return 0

    def metric(self, name: str) -> float:
        """Return a sample of the metrics page; 0 when there is none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as page:
            lines = page.read().decode().splitlines()
        found = [line for line in lines if line.startswith(f"{name} ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    def wait_live(self) -> "PodProcess":
        assert wait_until(lambda: self.status("/health/live") == 200, 60), self.child.output()
        return self


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[PodProcess]:
    process = PodProcess(tmp_path, {"SEATSTREAM_LOOKUP_TOKEN": "hunter2"})
    yield process.wait_live()
    process.child.kill()


@pytest.fixture(scope="module")
def shared_pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodProcess]:
    """Give a pod that no test ends."""
    process = PodProcess(tmp_path_factory.mktemp("pod"), {})
    yield process.wait_live()
    process.child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pod_without_brokers_lives_is_not_ready_and_ends_with_code_0(
    pod: PodProcess, number: signal.Signals
) -> None:
    assert pod.status("/health/ready") == 503
    assert pod.status("/v1/events") == 401
    pod.child.signal(number)
    # Less than what its three readers of topics took when they waited for brokers in turn, 45 s.
    assert pod.child.wait(60) == 0
    log = pod.child.output()
    assert "Traceback" not in log
    assert "hunter2" not in log
    assert "lookup_token=(set)" in log


def test_a_draining_pod_is_not_ready_and_still_answers(tmp_path: Path) -> None:
    pod = PodProcess(tmp_path, {"SEATSTREAM_API_DRAIN_MS": "60000"}).wait_live()
    try:
        pod.child.signal(signal.SIGTERM)
        assert wait_until(lambda: "ending" in pod.child.output(), 60)
        assert pod.status("/health/live") == 200
        assert pod.status("/health/ready") == 503
        pod.child.signal(signal.SIGTERM)
        assert pod.child.wait(60) == 1
    finally:
        pod.child.kill()


def test_a_megabyte_is_refused_while_it_is_sent(pod: PodProcess) -> None:
    """B65: on a real connection, by its length and without one."""
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    for sent in (
        b"Content-Length: 1048576\r\n\r\n" + b"x" * 65_536,
        CHUNKED + b"\r\n" + 16 * chunk,
    ):
        with socket.create_connection(("127.0.0.1", pod.port), timeout=60) as connection:
            # The end is never sent; the answer may be there before all of this was.
            with suppress(OSError):
                connection.sendall(POST + sent)
            answer = HTTPResponse(connection)
            answer.begin()
            assert (answer.status, b"BODY_TOO_LARGE" in answer.read()) == (413, True)


def exchanged(port: int, sent: bytes) -> tuple[int, bytes, bool]:
    """Return status and body of the answer to these bytes, and whether the pod closed after it."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        answer = HTTPResponse(connection)
        answer.begin()
        body = answer.read()
        # A connection that is kept answers again.
        is_closed = True
        with suppress(OSError):
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: pod\r\n\r\n")
            is_closed = not connection.recv(1)
    return answer.status, body, is_closed


POST = b"POST /v1/events HTTP/1.1\r\nHost: pod\r\nContent-Type: application/json\r\n"
GET = b"GET /v1/events HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
        (POST + CHUNKED + b"\r\n2\r\n{}xx0\r\n\r\n", 400),
        (POST + CHUNKED + CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 501),
        (POST + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 400),
        (POST + b"Idempotency-Key: a\r\nIdempotency-Key: a\r\nContent-Length: 2\r\n\r\n{}", 400),
        (GET + b"\r\n", 400),
        (GET + b"Host: a\r\nHost: a\r\n\r\n", 400),
        (GET + b"Host: a b\r\n\r\n", 400),
        (GET + b"Host: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer a\r\n\r\n", 400),
    ],
)
def test_f5_broken_framing_is_a_problem_and_the_end_of_the_connection(
    shared_pod: PodProcess, sent: bytes, status: int
) -> None:
    answered, body, is_closed = exchanged(shared_pod.port, sent)
    assert (answered, is_closed) == (status, True)
    assert json.loads(body)["status"] == status


def test_f5_a_body_that_ends_early_is_a_problem(shared_pod: PodProcess) -> None:
    with socket.create_connection(("127.0.0.1", shared_pod.port), timeout=60) as connection:
        connection.sendall(POST + b"Content-Length: 50\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        answer = HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["reason"]) == (400, "MALFORMED")


def test_f6_a_client_that_sends_nothing_more_gets_all_its_answers(shared_pod: PodProcess) -> None:
    live = b"GET /health/live HTTP/1.1\r\nHost: pod\r\n\r\n"
    for sent, statuses in (
        (live, [b"200"]),
        (live * 40, [b"200"] * 40),
        (POST + b"Content-Length: 2\r\n\r\n{}", [b"401"]),
        (live.replace(b"1.1", b"1.0"), [b"200"]),
        (live + b"GET /health", [b"200", b"400"]),
    ):
        with socket.create_connection(("127.0.0.1", shared_pod.port), timeout=60) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answers:
                assert re.findall(rb"HTTP/1.1 ([0-9]{3}) ", answers.read()) == statuses


LONG = b"a" * 61_000


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"hello\r\n\r\n", 400, "MALFORMED"),
        (GET + b"Host : pod\r\n\r\n", 400, "MALFORMED"),
        (GET + b"Host: pod\r\nA: b\r\n c\r\n\r\n", 400, "MALFORMED"),
        (GET + b"Host: pod\nA: b\r\n\r\n", 400, "MALFORMED"),
        (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400, "MALFORMED"),
        (POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400, "MALFORMED"),
        (POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400, "MALFORMED"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501, "UNSUPPORTED_CONTENT"),
        (b"BREW / HTTP/1.1\r\nHost: pod\r\n\r\n", 501, "METHOD_NOT_ALLOWED"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: pod\r\n\r\n", 501, "METHOD_NOT_ALLOWED"),
        (b"GET /" + LONG + b" HTTP/1.1\r\nHost: pod\r\n\r\n", 414, "TARGET_TOO_LONG"),
        (b"GET /" + LONG, 414, "TARGET_TOO_LONG"),
        (GET + b"Host: pod\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431, "HEAD_TOO_LARGE"),
        (GET + b"Host: pod\r\nA: " + b"x" * 65_536, 431, "HEAD_TOO_LARGE"),
    ],
)
def test_f6_what_is_refused_before_it_is_a_request_is_answered_counted_and_logged_as_all_is(
    shared_pod: PodProcess, sent: bytes, status: int, reason: str
) -> None:
    name = f'seatstream_api_problems_total{{reason="{reason}"}}'
    before = shared_pod.metric(name)
    with socket.create_connection(("127.0.0.1", shared_pod.port), timeout=60) as connection:
        # What stands behind it is no second request.
        connection.sendall(sent + b"GET /health/live HTTP/1.1\r\nHost: pod\r\n\r\n")
        answer = HTTPResponse(connection)
        answer.begin()
        body = json.loads(answer.read())
        assert connection.recv(1) == b""
    assert (answer.status, body["status"], body["reason"]) == (status, status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"].lower() == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-correlation-id"] == body["correlation_id"]
    assert shared_pod.metric(name) == before + 1
    assert wait_until(lambda: body["correlation_id"] in shared_pod.child.output(), 60)
    (line,) = [
        line for line in shared_pod.child.output().splitlines() if body["correlation_id"] in line
    ]
    assert f"status={status}" in line
    assert f"reason={reason}" in line


def test_f6_1500_heads_that_do_not_come_keep_nobody_waiting_and_end_in_time(
    tmp_path: Path,
) -> None:
    pod = PodProcess(tmp_path, {"SEATSTREAM_API_HEAD_MS": "3000"}).wait_live()
    slow = [socket.create_connection(("127.0.0.1", pod.port), timeout=60) for _ in range(1_500)]
    try:
        for connection in slow:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost:")
        assert pod.status("/health/live") == 200
        for connection in slow:
            with connection, connection.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 408 ")
        assert pod.metric('seatstream_api_problems_total{reason="HEAD_TOO_SLOW"}') == 1_500
    finally:
        for connection in slow:
            connection.close()
        pod.child.kill()


def test_f6_an_idle_connection_ends_without_a_word_and_one_that_is_waited_for_stays(
    tmp_path: Path,
) -> None:
    pod = PodProcess(tmp_path, {"SEATSTREAM_API_IDLE_MS": "1000"}).wait_live()
    try:
        with socket.create_connection(("127.0.0.1", pod.port), timeout=60) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: pod\r\n\r\n")
            with connection.makefile("rb") as answers:
                assert answers.read().count(b"HTTP/1.1 ") == 1
    finally:
        pod.child.kill()


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/ready", "/metrics", "/docs", "/nothing"]
)
def test_f1_head_on_a_connection_has_headers_alone(shared_pod: PodProcess, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", shared_pod.port, timeout=60)
    for _ in range(2):
        connection.request("GET", path)
        whole = connection.getresponse()
        body = whole.read()
        connection.request("HEAD", path)
        head = connection.getresponse()
        # Were there a body, the next answer on this connection could not be read.
        assert (head.read(), head.status) == (b"", whole.status)
        assert abs(int(head.headers["Content-Length"]) - len(body)) < 256
    connection.close()


def test_f5_the_version_before_hosts_is_served(shared_pod: PodProcess) -> None:
    assert exchanged(shared_pod.port, b"GET /health/live HTTP/1.0\r\n\r\n")[0] == 200


def test_two_pods_do_not_share_a_port() -> None:
    with listen_at("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken):
            listen_at("127.0.0.1", port)
    listen_at("127.0.0.1", port).close()


def test_a_pod_whose_port_is_taken_ends_and_says_so(tmp_path: Path, pod: PodProcess) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = PodProcess(folder, {"SEATSTREAM_API_PORT": str(pod.port)})
    try:
        assert second.child.wait(60) == 1, second.child.output()
        assert f"PortTaken: 127.0.0.1:{pod.port} is taken" in second.child.output()
    finally:
        second.child.kill()
    assert pod.status("/health/live") == 200


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"SEATSTREAM_API_PROT": "1"}, 2, "unknown setting SEATSTREAM_API_PROT"),
        ({"SEATSTREAM_API_JWKS": "/nowhere/jwks.json"}, 1, "KeysUnavailable"),
        ({"SEATSTREAM_API_HOST": "192.0.2.1"}, 1, "cannot start"),
    ],
)
def test_what_keeps_a_pod_from_starting_is_told_and_is_its_exit_code(
    tmp_path: Path, settings: dict[str, str], code: int, told: str
) -> None:
    pod = PodProcess(tmp_path, settings)
    try:
        assert pod.child.wait(60) == code, pod.child.output()
        assert told in pod.child.output()
    finally:
        pod.child.kill()


def test_settings_are_printed_without_secrets() -> None:
    async def printed() -> str:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "api", "--settings"),
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": "redis://:hunter2@r:1/0"},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(child.communicate(), 60)
        return output.decode()

    told = asyncio.run(printed())
    assert "redis_url: redis://r:1/0" in told
    assert "hunter2" not in told


def health_of(port: int) -> str:
    """Return what the gRPC server says of itself; nothing where none answers."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call, unused-ignore]
        try:
            told = stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
        except grpc.RpcError:
            return ""
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(told.status))


def test_a_pod_serves_its_booking_queue_beside_http_and_ends_both(
    tmp_path: Path, redis_url: str
) -> None:
    [port] = free_ports(1)
    settings = {
        "REDIS_URL": redis_url,
        "SEATSTREAM_API_GRPC_PORT": str(port),
        "SEATSTREAM_API_DRAIN_MS": "60000",
    }
    pod = PodProcess(tmp_path, settings).wait_live()
    try:
        assert wait_until(lambda: health_of(port) == "SERVING", 60), pod.child.output()
        pod.child.signal(signal.SIGTERM)
        assert wait_until(lambda: health_of(port) == "NOT_SERVING", 60)
        other = tmp_path / "other"
        other.mkdir()
        taken = PodProcess(other, settings)
        assert taken.child.wait(60) == 1
        assert "PortUnusable" in taken.child.output()
    finally:
        pod.child.kill()
