"""An API pod as a child process, and who asks it over HTTP to see how old its answers are."""

import http.client
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from benchmarks.ages import Answer
from benchmarks.cluster import BenchmarkFailed, Cluster
from benchmarks.process import Measured
from benchmarks.statuses import Hall
from scripts.issue_token import DevelopmentKeys

API = (sys.executable, "-m", "api")
USERS = 200
ANSWER_TIMEOUT_S = 10.0
LIMITS = ("CREATE", "CANCEL", "POSITION", "OTHER", "NETWORK")

_LISTENING = re.compile(r"listening at http://[^:]+:(\d+)")


class Users:
    """Tokens that pods take, and a file with one a line for load generators."""

    def __init__(self, directory: Path) -> None:
        keys = DevelopmentKeys(directory / "keys")
        self.jwks = keys.jwks
        tokens = [keys.token(f"user-{n}", lifetime_s=24 * 3600) for n in range(USERS)]
        self.token = tokens[0]
        self.file = directory / "tokens"
        self.file.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")


class ApiPod(Measured):
    """One pod at a free port; killed when the block is left. No Redis, so no rate limits."""

    def __init__(
        self,
        cluster: Cluster,
        users: Users,
        directory: Path,
        *,
        app_id: str = "benchmark-none",
        command: Sequence[str] = API,
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
        }
        super().__init__("the pod", command, directory / "pod.log", environment)

    def port(self) -> int:
        """Return where it listens; ValueError until it does."""
        match = _LISTENING.search(self.log_text())
        if match is None:
            raise ValueError("not listening yet")
        return int(match[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port()}"

    def wait_ready(self) -> float:
        """Return the seconds from start to the first good `/health/ready`."""
        return self.wait_answered("health/ready")

    def statuses_taken_in(self) -> float:
        """Return how many records of section-status it has read."""
        return self.metrics().get("seatstream_view_records_total", 0.0)


class Asking:
    """One connection of a user to a pod, closed when the block is left."""

    def __init__(self, pod: ApiPod, token: str) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", pod.port(), timeout=ANSWER_TIMEOUT_S
        )
        self._headers = {"Authorization": f"Bearer {token}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def availability(self, event_id: int) -> dict[str, Any]:
        """Return what is answered; raises BenchmarkFailed for anything but 200."""
        path = f"/v1/events/{event_id}/availability"
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise BenchmarkFailed(f"{path} answers {answer.status}: {body[:200]!r}")
        found: dict[str, Any] = orjson.loads(body)
        return found


class Probe(threading.Thread):
    """Asks for one event again and again, and keeps what was answered and when."""

    def __init__(
        self, pod: ApiPod, token: str, hall: Hall, *, event_id: int, period_s: float
    ) -> None:
        super().__init__(name="probe", daemon=True)
        self.answers: list[Answer] = []
        self._asking = Asking(pod, token)
        self._hall = hall
        self._event_id = event_id
        self._period_s = period_s
        self._ending = threading.Event()
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def run(self) -> None:
        try:
            with self._asking as asking:
                while not self._ending.wait(self._period_s):
                    self.answers.append(self._ask(asking))
        except (BenchmarkFailed, OSError, http.client.HTTPException) as error:
            self._error = error

    def wait_for(self, version_by_section: Mapping[int, int], timeout_s: float) -> None:
        """Return when an answer carries the newest of its sections, or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.is_alive():
            known = self.answers[-1].version_by_section if self.answers else {}
            if known and all(
                version >= version_by_section.get(section, 0) for section, version in known.items()
            ):
                return
            time.sleep(self._period_s)

    def end(self) -> list[Answer]:
        """Stop asking and return the answers; raises BenchmarkFailed where one went wrong."""
        self._ending.set()
        self.join()
        if self._error is not None:
            raise BenchmarkFailed(f"the probe: {self._error}") from self._error
        return self.answers

    def _ask(self, asking: Asking) -> Answer:
        sent_ns = time.monotonic_ns()
        found = asking.availability(self._event_id)
        got_ns = time.monotonic_ns()
        versions = {
            self._hall.number(self._event_id, one["section"]): one["version"]
            for one in found["sections"]
        }
        return Answer(sent_ns, got_ns, found["staleness_ms"], versions)
