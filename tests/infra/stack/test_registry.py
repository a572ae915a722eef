"""A registry is ready when our own process answers; its schemas outlive a crash."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.pages.serving import Page, serving

from infra.stack import ephemeral_stack, registry
from infra.stack.ports import free_ports
from infra.stack.processes import Child, PortTakenError, StackError
from infra.stack.registry import SchemaRegistry
from scripts.contracts.patient_registry import PatientRegistry


@contextmanager
def somebody_else_on(port: int) -> Iterator[list[str]]:
    """Let another program answer 200 there until the block ends; give what it was asked."""
    asked: list[str] = []

    class Somebody(Page):
        def serve(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.answer(200)

    with serving(Somebody, port):
        yield asked


# Ready on both ports, and yet it drops the first demands.
DROPPING = """
import sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Dropping(BaseHTTPRequestHandler):
    demands = 0

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_PUT(self):
        Dropping.demands += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        print("demand", self.path, flush=True)
        if Dropping.demands > 2:
            self.do_GET()

for setting in sys.argv:
    if ".port=" in setting:
        server = ThreadingHTTPServer(("127.0.0.1", int(setting.split("=")[1])), Dropping)
        threading.Thread(target=server.serve_forever).start()
"""


def started(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    ports: tuple[int, ...],
    program: str = "sh",
) -> SchemaRegistry:
    """Start a registry on these ports with a script in the place of Java."""
    monkeypatch.setattr(registry, "java", lambda *_, **__: [program, "-c", script])
    monkeypatch.setattr(registry, "free_ports", lambda _: ports)
    started = SchemaRegistry(directory)
    started.begin()
    return started


def test_a_registry_that_was_never_started_is_killed_without_harm(tmp_path: Path) -> None:
    one = SchemaRegistry(tmp_path / "registry")
    one.kill()
    assert one.child is None
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize("said", ["java.net.BindException", "Port 15000 is already in use"])
def test_ports_that_another_server_answers_on_are_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    ports = free_ports(2)
    with somebody_else_on(ports[0]) as asked, somebody_else_on(ports[1]) as asked_health:
        one = started(tmp_path, monkeypatch, f"echo '{said}'; exit 1", ports)
        try:
            with pytest.raises(PortTakenError, match=f"port {ports[0]} was taken meanwhile"):
                one.wait()
        finally:
            one.kill()
    # Nor was the rule for compatibility of somebody else's registry changed.
    assert (asked, asked_health) == ([], [])


def test_a_registry_that_ends_at_its_start_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = started(tmp_path, monkeypatch, "echo no room for the heap; exit 1", free_ports(2))
    with pytest.raises(StackError, match=r"no room for the heap\n.*scripts/stack down --purge"):
        one.wait()
    assert isinstance(one.child, Child)
    assert not one.child.is_alive()


def test_a_registry_is_ready_when_it_has_taken_the_demand_however_often_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = started(tmp_path, monkeypatch, DROPPING, free_ports(2), sys.executable)
    try:
        one.wait()
        assert one.child is not None
        assert one.child.output().count("demand /apis/ccompat/v7/config") == 3
    finally:
        one.kill()


def test_a_restart_keeps_the_address_and_writes_into_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = started(tmp_path / "r", monkeypatch, "echo $0 $*; exit 1", ports := free_ports(2))
    assert one.url == f"http://127.0.0.1:{ports[0]}/apis/ccompat/v7"
    one.kill()
    address = one.url
    one.restart()
    assert one.url == address
    assert one.child is not None
    one.child.wait(60)
    said = one.child.output()
    assert f"-Dquarkus.http.port={ports[0]}" in said
    assert f"-Dquarkus.management.port={ports[1]}" in said
    assert said.count("host=127.0.0.1") == 2
    # Acknowledged schemas must outlive a crash.
    assert "WRITE_DELAY=0" in said
    assert one.child.log.parent == tmp_path / "r"


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_a_killed_registry_still_knows_its_schemas() -> None:
    with ephemeral_stack("tests-registry", parts={"registry"}) as stack:
        asker = PatientRegistry(stack.registry_url, 60)
        registered = asker.call("POST", "subjects/a-value/versions", {"schema": '"string"'})
        stack.stop_registry()
        stack.start_registry()
        known = asker.call("GET", f"schemas/ids/{registered['id']}")
        assert json.loads(known["schema"]) == "string"
        assert asker.call("GET", "config")["compatibilityLevel"] == "FULL_TRANSITIVE"
