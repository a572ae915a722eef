"""Pods as processes over a real stack, and clients that ask them."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import Producer
from integration.workers import ROOT, LoggedRecord, read_committed, run

from infra.stack.ports import free_ports
from infra.stack.processes import Child, child_environment, wait_until
from scripts.processes.keys import DevelopmentKeys

READY_TIMEOUT_S = 60.0
NOT_AT_REST = 2
"""Exit code of an audit while commands wait to be decided."""
WITHOUT_LIMITS = {
    f"SEATSTREAM_API_LIMIT_{kind}": "none"
    for kind in ("CREATE", "CANCEL", "POSITION", "OTHER", "NETWORK")
}

# Whoever asks without saying for how long waits as long as a busy machine may take.
PATIENT = {"SEATSTREAM_API_WAIT_MS": "20000", "SEATSTREAM_API_WAIT_MAX_MS": "20000"}


@dataclass(frozen=True)
class Servers:
    """Where the parts of a stack answer, and the keys that tokens are signed with.

    root: the folder of the release of its processes.
    """

    brokers: str
    registry_url: str
    redis_url: str
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    root: Path = ROOT

    @property
    def keys(self) -> DevelopmentKeys:
        return DevelopmentKeys(self.directory / "keys")

    def variables(self) -> dict[str, str]:
        """Return the environment of every process over this stack."""
        return {
            **child_environment(),
            "PYTHONPATH": str(self.root),
            "KAFKA_BROKERS": self.brokers,
            "SCHEMA_REGISTRY_URL": self.registry_url,
            **self.environment,
        }


class PodProcess:
    """One `python -m api`, asked by one user."""

    def __init__(self, servers: Servers, name: str, user: str = "ann", **settings: str) -> None:
        self.port = free_ports(1)[0]
        folder = servers.directory / name
        folder.mkdir(parents=True, exist_ok=True)
        redis = {"REDIS_URL": servers.redis_url} if servers.redis_url else {}
        environment = {
            **servers.variables(),
            **redis,
            **WITHOUT_LIMITS,
            "SEATSTREAM_API_PORT": str(self.port),
            "SEATSTREAM_API_JWKS": str(servers.keys.jwks),
            "SEATSTREAM_API_CACHE_DIR": str(folder),
            **PATIENT,
            **settings,
        }
        command = [sys.executable, "-m", "api"]
        self.child = Child(command, servers.root, folder / "pod.log", environment)
        self._token = servers.keys.token(user, ("buyer", "operator"))
        self._own = threading.local()
        self._clients: list[httpx.Client] = []

    @property
    def client(self) -> httpx.Client:
        """A client for each thread: a shared one now and then reads from what another closed."""
        try:
            own: httpx.Client = self._own.client
        except AttributeError:
            own = self._own.client = httpx.Client(
                base_url=f"http://127.0.0.1:{self.port}",
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=60,
                trust_env=False,
            )
            self._clients.append(own)
        return own

    def wait_ready(self) -> "PodProcess":
        def is_ready() -> bool:
            try:
                return self.client.get("/health/ready").status_code == 200
            except httpx.HTTPError:
                return False

        reached = wait_until(lambda: is_ready() or not self.child.is_alive(), READY_TIMEOUT_S)
        assert reached, f"not ready in time:\n{self.child.output()}"
        assert self.child.is_alive(), self.child.output()
        return self

    def create(
        self, event: int, key: str, section: str, quantity: int = 1, *, wait_s: int | None = None
    ) -> httpx.Response:
        """Ask for the best available seats."""
        headers = {"Idempotency-Key": key}
        if wait_s is not None:
            headers["Prefer"] = f"wait={wait_s}"
        body = {"section": section, "quantity": quantity}
        path = f"/v1/events/{event}/reservations"
        return self.client.post(path, json=body, headers=headers)

    def show(self, place: str, *, wait_s: int = 0) -> httpx.Response:
        return self.client.get(place, headers={"Prefer": f"wait={wait_s}"})

    def becomes(self, place: str, status: str) -> bool:
        """Say whether a reservation gets there, however long its worker takes to start."""
        return wait_until(lambda: self.show(place, wait_s=2).json().get("status") == status, 60)

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples; 0 when there is none."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((name + " ", name + "{"))
        )

    def end(self) -> None:
        for client in self._clients:
            client.close()
        self.child.kill()


def script(servers: Servers, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a script over this stack."""
    return run(servers.variables(), f"scripts.{name}", *arguments)


def run_script(servers: Servers, name: str, *arguments: str) -> None:
    """Run a script over this stack, or fail with what it printed."""
    done = script(servers, name, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def run_audit(servers: Servers, *arguments: str) -> str:
    """Audit the log at rest; return what was printed, or fail with it."""
    done = at_rest(lambda: script(servers, "audit", *arguments))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def at_rest(
    audit: "Callable[[], subprocess.CompletedProcess[str]]",
) -> "subprocess.CompletedProcess[str]":
    """Audit until the log is at rest: now and then a tick in it is not decided yet."""
    runs = [audit()]

    def is_at_rest() -> bool:
        if runs[-1].returncode == NOT_AT_REST:
            runs.append(audit())
        return runs[-1].returncode != NOT_AT_REST

    wait_until(is_at_rest, 120)
    return runs[-1]


def reason(answer: httpx.Response) -> tuple[int, str]:
    """Return status and reason of a problem."""
    body: dict[str, Any] = json.loads(answer.content)
    return answer.status_code, body.get("reason", "")


def logged(brokers: str, topic: str, partitions: int, reservation_id: str) -> list[LoggedRecord]:
    """Return the committed records that name a reservation, each partition in order."""
    wanted = reservation_id.encode()
    return [
        record
        for record in read_committed(brokers, topic, partitions)
        if wanted in (record.value or b"")
    ]


def append(brokers: str, topic: str, key: bytes, value: bytes, partition: int) -> None:
    """Append one record; returns when the brokers have it."""
    producer = Producer({"bootstrap.servers": brokers, "acks": "all"})
    producer.produce(topic, value, key, partition)
    assert producer.flush(20) == 0
