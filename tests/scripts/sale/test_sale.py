"""A sale stops where a pod has ended, and says so."""

from typing import cast

import pytest

from scripts.processes.pods import ApiPod, PodFailed
from scripts.processes.workers import Supervisor
from scripts.sale.buyers import Buyers
from scripts.sale.sale import Sale
from scripts.sale.table import Display
from scripts.sale.web_buyers import WebBuyers


class Process:
    """A pod that ended with this code, or runs."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code

    def exit_code(self) -> int | None:
        return self.code

    def log(self) -> str:
        return "the last lines"


class Web:
    failure: Exception | None = None


def sale_of(pod: Process, web: Web) -> Sale:
    return Sale(
        cast("Buyers", None),
        cast("WebBuyers", web),
        Supervisor([]),
        cast("ApiPod", pod),
        Display(),
    )


def test_a_pod_that_ended_is_named_before_the_buyers_that_it_failed() -> None:
    web = Web()
    web.failure = OSError("connection refused")
    with pytest.raises(PodFailed, match="exit code 3"):
        sale_of(Process(3), web).check_pod()
    with pytest.raises(OSError, match="refused"):
        sale_of(Process(), web).check_pod()
