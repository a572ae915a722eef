"""A pod as a process: it starts without brokers, says so, ends cleanly, and shares no port."""

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter

import pytest
from granian._granian import ListenerSpec
from tokens import write_jwks

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
                f"http://127.0.0.1:{self.port}{path}", timeout=2
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return 0

    def wait_live(self) -> "PodProcess":
        assert wait_until(lambda: self.status("/health/live") == 200, 60), self.child.output()
        return self


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[PodProcess]:
    process = PodProcess(tmp_path, {"SEATSTREAM_LOOKUP_TOKEN": "hunter2"})
    yield process.wait_live()
    process.child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pod_without_brokers_lives_is_not_ready_and_ends_with_code_0(
    pod: PodProcess, number: signal.Signals
) -> None:
    assert pod.status("/health/ready") == 503
    assert pod.status("/v1/events") == 401
    pod.child.signal(number)
    assert pod.child.wait(20) == 0
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
        assert pod.child.wait(30) == 1
    finally:
        pod.child.kill()


def test_a_megabyte_is_refused_while_it_is_sent(pod: PodProcess) -> None:
    """B65: on a real connection, by its length and without one."""
    for headers in ({}, {"Transfer-Encoding": "chunked"}):
        connection = HTTPConnection("127.0.0.1", pod.port, timeout=20)
        body = iter([b"x" * 65_536] * 16) if headers else b"x" * 1_048_576
        started_s = perf_counter()
        # The answer may be there before all was sent.
        with suppress(OSError):
            connection.request("POST", "/v1/events", body, headers, encode_chunked=bool(headers))
        answer = connection.getresponse()
        assert (answer.status, b"BODY_TOO_LARGE" in answer.read()) == (413, True)
        assert perf_counter() - started_s < 5
        connection.close()


def test_two_pods_do_not_share_a_port() -> None:
    with listen_at("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken):
            listen_at("127.0.0.1", port)
        with pytest.raises(RuntimeError, match="in use"):
            ListenerSpec("127.0.0.1", port, 1).build()
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
        assert pod.child.wait(20) == code, pod.child.output()
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
        output, _ = await asyncio.wait_for(child.communicate(), 20)
        return output.decode()

    told = asyncio.run(printed())
    assert "redis_url: redis://r:1/0" in told
    assert "hunter2" not in told
