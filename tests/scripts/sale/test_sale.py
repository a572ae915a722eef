"""Workers that end themselves start again, a number of times; any other end stops the sale."""

from typing import cast

import pytest

from scripts.processes.pods import ApiPod, PodFailed
from scripts.processes.workers import Worker, WorkerFailed
from scripts.sale.buyers import Buyers
from scripts.sale.sale import RESTARTS_MAX, Sale, check
from scripts.sale.table import Display
from scripts.sale.web_buyers import WebBuyers
from streams.runtime.process.fatal import EXIT_CODE


class Process:
    """A process that ends with this code; a start lets it run until it is ended again."""

    def __init__(self, code: int | None = None) -> None:
        self.name = "worker-1"
        self.code = code
        self.starts = 0

    def exit_code(self) -> int | None:
        return self.code

    def start(self) -> None:
        self.starts += 1
        self.code = None

    def log(self) -> str:
        return "the last lines"


class Web:
    failure: Exception | None = None


def sale_of(worker: Process, pod: Process | None = None, web: Web | None = None) -> Sale:
    return Sale(
        cast("Buyers", None),
        cast("WebBuyers", web or Web()),
        [cast("Worker", worker)],
        cast("ApiPod", pod or Process()),
        Display(),
    )


def test_a_worker_that_ended_itself_starts_again_until_it_did_so_too_often() -> None:
    worker = Process()
    sale = sale_of(worker)
    for _ in range(RESTARTS_MAX):
        worker.code = EXIT_CODE
        sale.revive()
    assert worker.starts == RESTARTS_MAX
    worker.code = EXIT_CODE
    with pytest.raises(WorkerFailed, match="the last lines"):
        sale.revive()


@pytest.mark.parametrize("code", [0, 1, -9])
def test_any_other_end_stops_the_sale_and_shows_the_log(code: int) -> None:
    worker = Process(code)
    with pytest.raises(WorkerFailed, match=f"exit code {code}:\nthe last lines"):
        sale_of(worker).revive()
    assert worker.starts == 0


def test_workers_that_run_are_left_alone() -> None:
    worker = Process()
    sale_of(worker).revive()
    check([cast("Worker", worker)])
    assert worker.starts == 0


def test_a_pod_that_ended_is_named_before_the_buyers_that_it_failed() -> None:
    web = Web()
    web.failure = OSError("connection refused")
    with pytest.raises(PodFailed, match="exit code 3"):
        sale_of(Process(), Process(3), web).check_pod()
    with pytest.raises(OSError, match="refused"):
        sale_of(Process(), Process(), web).check_pod()
