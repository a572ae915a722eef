"""A worker is ready when its own health page says so; one that ended itself is started again."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
from support.pages.serving import Page, serving

from scripts.brokers.addresses import Servers
from scripts.processes.workers import RESTARTS_MAX, Supervisor, Worker, WorkerFailed
from streams.runtime.process.fatal import EXIT_CODE

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")
METRICS = b"""# TYPE seatstream_open_intents gauge
seatstream_open_intents{destination="mock"} 4.0
seatstream_open_intents{destination="stripe"} 3.0
seatstream_open_intents_oldest 9.0
"""


class Health(Page):
    """A health page; the server says with which status it answers."""

    def serve(self) -> None:
        if self.path == "/metrics":
            self.answer(200, METRICS)
        else:
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


def test_a_metric_is_the_sum_of_its_samples_and_unknown_where_nobody_answers(
    tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    worker = worker_with(tmp_path / "a", str(server.server_address[1]))
    assert worker.metric("seatstream_open_intents") == 7
    assert worker.metric("seatstream_no_such") == 0
    assert worker_with(tmp_path / "b", "1").metric("seatstream_open_intents") is None
    assert worker_with(tmp_path / "c", None).metric("seatstream_open_intents") is None


def test_one_that_was_never_started_may_be_ended_and_has_no_log(tmp_path: Path) -> None:
    worker = worker_with(tmp_path, None)
    worker.terminate()
    worker.finish()
    assert worker.log() == ""
    assert worker.stores == tmp_path / "worker-1" / "data" / "stores"


class Process:
    """A worker that ended with this code; it is ready after so many starts."""

    name = "worker-1"

    def __init__(self, code: int | None = None, *, ready_after: int = 0) -> None:
        self.code = code
        self.ready_after = ready_after
        self.starts = 0

    def exit_code(self) -> int | None:
        return self.code

    def is_ready(self) -> bool:
        return self.starts >= self.ready_after

    def start(self) -> None:
        self.starts += 1
        self.code = EXIT_CODE if self.starts < self.ready_after else None

    def log(self, _lines: int = 25) -> str:
        return "    the last lines"


def supervisor_of(*workers: Process, said: list[str] | None = None) -> Supervisor:
    say = ([] if said is None else said).append
    return Supervisor([cast("Worker", worker) for worker in workers], say)


def test_a_worker_that_ended_itself_starts_again_until_it_did_so_too_often() -> None:
    worker = Process()
    said: list[str] = []
    supervisor = supervisor_of(Process(), worker, said=said)
    for _ in range(RESTARTS_MAX):
        worker.code = EXIT_CODE
        supervisor.revive()
    assert worker.starts == RESTARTS_MAX
    assert set(said) == {"worker-1 ended itself and starts again: the last lines"}
    worker.code = EXIT_CODE
    with pytest.raises(WorkerFailed, match="the last lines"):
        supervisor.revive()


@pytest.mark.parametrize("code", [0, 1, -9])
def test_any_other_end_is_a_failure_that_shows_the_log(code: int) -> None:
    worker = Process(code)
    with pytest.raises(WorkerFailed, match=f"exit code {code}:\n *the last lines"):
        supervisor_of(worker).revive()
    assert worker.starts == 0


def test_workers_that_run_or_are_away_are_left_alone() -> None:
    runs, away = Process(), Process(-9)
    away.name = "worker-2"
    supervisor = supervisor_of(runs, away)
    supervisor.away.add("worker-2")
    supervisor.revive()
    assert (runs.starts, away.starts) == (0, 0)


def test_one_that_ends_itself_before_it_is_ready_is_started_until_it_is() -> None:
    worker = Process(EXIT_CODE, ready_after=3)
    supervisor_of(worker).wait_until_ready(60)
    assert worker.starts == 3


def test_one_that_does_not_become_ready_in_time_shows_its_log() -> None:
    with pytest.raises(WorkerFailed, match=r"not ready in 0 s:\n *the last lines"):
        supervisor_of(Process(ready_after=1)).wait_until_ready(0)
