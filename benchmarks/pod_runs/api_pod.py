"""An API pod as a child process, and who asks it over HTTP to see how old its answers are."""

import re
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Self

import orjson

from benchmarks.measuring import machine
from benchmarks.measuring.ages import Answer
from benchmarks.measuring.bench import Bench, Sizes
from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.process import Measured
from benchmarks.pod_runs.statuses import Hall
from scripts.processes.keys import DevelopmentKeys

API = (sys.executable, "-m", "api")
BARE_SERVER = (sys.executable, "-m", "benchmarks.pod_runs.bare_server")
USERS = 200
ANSWER_TIMEOUT_S = 10.0
LIMITS = ("CREATE", "CANCEL", "POSITION", "OTHER", "NETWORK")

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")
_STATUS = re.compile(rb"http/1\.1 (\d{3}) ")
_LISTENING = re.compile(r"listening at http://[^:]+:(\d+)")


def user_name(number: int) -> str:
    return f"user-{number % USERS}"


class Users:
    """Tokens that pods take, and a file with one a line for load generators."""

    def __init__(self, directory: Path) -> None:
        keys = DevelopmentKeys(directory / "keys")
        self.jwks = keys.jwks
        tokens = [keys.token(user_name(n), lifetime_s=24 * 3600) for n in range(USERS)]
        self.token = tokens[0]
        self._keys = keys
        self._tokens = tokens
        self.file = directory / "tokens"
        self.file.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")

    def token_of(self, number: int) -> str:
        """Return the token of whoever `user_name` calls by this number."""
        return self._tokens[number % USERS]

    def token_for(self, user: str) -> str:
        """Return a token of whoever is called so."""
        return self._keys.token(user, lifetime_s=24 * 3600)


@dataclass(frozen=True, slots=True)
class BrokerOfUsers:
    """A running broker, who asks, and where data goes."""

    cluster: Cluster
    users: Users
    directory: Path


class BenchOfUsers(Bench[Sizes, BrokerOfUsers], Generic[Sizes]):
    """A benchmark that asks pods over HTTP."""

    PACKAGES: ClassVar[tuple[str, ...]] = (
        *machine.PACKAGES,
        "httptools",
        "fastapi",
        "orjson",
        "pyjwt",
    )

    def _broker_of(self, cluster: Cluster, directory: Path) -> BrokerOfUsers:
        return BrokerOfUsers(cluster, Users(directory), directory)


class Listening(Measured):
    """A process that tells in its log where it listens."""

    def port(self) -> int:
        """Return where it listens; ValueError until it does."""
        match = _LISTENING.search(self.log_text())
        if match is None:
            raise ValueError("not listening yet")
        return int(match[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port()}"


class BareServer(Listening):
    """The HTTP server of a pod with nothing behind it; killed when the block is left."""

    def __init__(self, directory: Path, *, body_bytes: int) -> None:
        command = (*BARE_SERVER, "--body-bytes", str(body_bytes))
        super().__init__("the bare server", command, directory / "bare-server.log", {})


class ApiPod(Listening):
    """One pod at a free port; killed when the block is left.

    No Redis and no rate limits, unless settings say otherwise.
    """

    def __init__(
        self,
        cluster: Cluster,
        users: Users,
        directory: Path,
        *,
        app_id: str = "benchmark-none",
        command: Sequence[str] = API,
        **settings: str,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        environment = {
            "KAFKA_BROKERS": cluster.brokers,
            "SCHEMA_REGISTRY_URL": cluster.registry_url,
            "SEATSTREAM_APP_ID": app_id,
            "SEATSTREAM_API_PORT": "0",
            "SEATSTREAM_API_JWKS": str(users.jwks),
            "SEATSTREAM_API_CACHE_DIR": str(directory / "cache"),
            **{f"SEATSTREAM_API_LIMIT_{name}": "none" for name in LIMITS},
            **settings,
        }
        super().__init__("the pod", command, directory / "pod.log", environment)

    def wait_ready(self) -> float:
        """Return the seconds from start to the first good `/health/ready`."""
        return self.wait_answered("health/ready")

    def statuses_taken_in(self) -> float:
        """Return how many records of section-status it has read."""
        return self.metrics().get("seatstream_view_records_total", 0.0)


class Asking:
    """One connection of a user to a pod, closed when the block is left.

    A socket and no HTTP client: whoever asks hundreds of times a second beside a load shares the
    processors with what is measured.
    """

    def __init__(self, pod: ApiPod, token: str) -> None:
        self._address = ("127.0.0.1", pod.port())
        self._token = token
        self._open: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()

    def availability(self, event_id: int) -> bytes:
        """Return the body that is answered; raises BenchmarkFailed for anything but 200."""
        path = f"/v1/events/{event_id}/availability"
        status, body = self.ask(f"GET {path}", self._token)
        if status != 200:
            raise BenchmarkFailed(f"{path} answers {status}: {body[:400]!r}")
        return body

    def ask(
        self, what: str, token: str, headers: Sequence[str] = (), body: str = ""
    ) -> tuple[int, bytes]:
        """Return status and body; raises BenchmarkFailed for what is no answer.

        what: method and path.
        """
        if self._open is None:
            self._open = socket.create_connection(self._address, ANSWER_TIMEOUT_S)
        lines = [f"{what} HTTP/1.1", "Host: pod", f"Authorization: Bearer {token}", *headers]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self._open.sendall(("\r\n".join((*lines, "\r\n")) + body).encode())
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._received(what)
        head = answer[:end].lower()
        length = _CONTENT_LENGTH.search(head)
        status = _STATUS.match(head)
        if status is None or length is None:
            raise BenchmarkFailed(f"{what} is answered {answer[:400]!r}")
        until = end + 4 + int(length[1])
        while len(answer) < until:
            answer += self._received(what)
        return int(status[1]), answer[end + 4 :]

    def _received(self, what: str) -> bytes:
        assert self._open is not None
        received = self._open.recv(1 << 16)
        if not received:
            raise BenchmarkFailed(f"{what}: the pod has closed the connection")
        return received


class Probe(threading.Thread):
    """Asks for one event again and again, and keeps what was answered and when, unread."""

    def __init__(
        self, pod: ApiPod, token: str, hall: Hall, *, event_id: int, period_s: float
    ) -> None:
        super().__init__(name="probe", daemon=True)
        self._told: list[tuple[int, int, bytes]] = []
        self._asking = Asking(pod, token)
        self._hall = hall
        self._event_id = event_id
        self._period_s = period_s
        self._ending = threading.Event()
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(self) -> None:
        try:
            with self._asking as asking:
                while not self._ending.wait(self._period_s):
                    sent_ns = time.monotonic_ns()
                    body = asking.availability(self._event_id)
                    self._told.append((sent_ns, time.monotonic_ns(), body))
        except (BenchmarkFailed, OSError) as error:
            self._error = error

    def wait_for(self, version_by_section: Mapping[int, int], timeout_s: float) -> None:
        """Return when an answer carries the newest of its sections, or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.is_alive():
            if self._told:
                known = self._read(self._told[-1]).version_by_section
                if all(known[section] >= version_by_section.get(section, 0) for section in known):
                    return
            time.sleep(self._period_s)

    def end(self) -> list[Answer]:
        """Stop asking and return the answers; raises BenchmarkFailed where one went wrong."""
        self._ending.set()
        self.join()
        if self._error is not None:
            raise BenchmarkFailed(f"the probe: {self._error}") from self._error
        return [self._read(one) for one in self._told]

    def _read(self, told: tuple[int, int, bytes]) -> Answer:
        sent_ns, got_ns, body = told
        found = orjson.loads(body)
        versions = {
            self._hall.number(self._event_id, one["section"]): one["version"]
            for one in found["sections"]
        }
        return Answer(sent_ns, got_ns, found["staleness_ms"], versions)
