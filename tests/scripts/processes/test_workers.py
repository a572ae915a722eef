"""A worker is ready when its own health page says so, and not before."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from support.pages.serving import Page, serving

from scripts.brokers.addresses import Servers
from scripts.processes.workers import Worker

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")


class Health(Page):
    """A health page; the server says with which status it answers."""

    def serve(self) -> None:
        self.answer(self.server.status if self.path == "/ready" else 404)  # type: ignore[attr-defined]


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with serving(Health) as server:
        yield server


def worker_with(folder: Path, port: str | None) -> Worker:
    worker = Worker("worker-1", NOWHERE, folder)
    if port is not None:
        (folder / "worker-1" / "data").mkdir()
        (folder / "worker-1" / "data" / "health-port").write_text(port, encoding="utf-8")
    return worker


@pytest.mark.parametrize(("status", "is_ready"), [(200, True), (503, False)])
def test_it_is_ready_when_its_page_says_so(
    tmp_path: Path, server: ThreadingHTTPServer, status: int, is_ready: bool
) -> None:
    server.status = status  # type: ignore[attr-defined]
    assert worker_with(tmp_path, str(server.server_address[1])).is_ready() is is_ready


@pytest.mark.parametrize("port", [None, "", "no number", "1"])
def test_it_is_not_ready_before_it_has_written_a_port_that_answers(
    tmp_path: Path, port: str | None
) -> None:
    assert not worker_with(tmp_path, port).is_ready()


def test_one_that_was_never_started_may_be_ended_and_has_no_log(tmp_path: Path) -> None:
    worker = worker_with(tmp_path, None)
    worker.terminate()
    worker.finish()
    assert worker.log() == ""
    assert worker.stores == tmp_path / "worker-1" / "data" / "stores"
