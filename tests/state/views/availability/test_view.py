import subprocess
import sys

import pytest
from support.records.status_records import (
    EVENT,
)

from infra.paths import ROOT
from state.views.availability.view import AvailabilityView, NotReady


def test_nothing_is_connected_before_the_start() -> None:
    view = AvailabilityView("127.0.0.1:1")
    assert not view.is_ready()
    assert view.get(EVENT, "A") is None
    view.close()


def test_a_view_without_a_broker_says_so_in_time() -> None:
    with AvailabilityView("127.0.0.1:1") as view, pytest.raises(NotReady):
        view.wait_ready(0.05)


def test_the_example_is_short_and_stands_in_the_guide() -> None:
    text = (ROOT / "docs/examples/availability.py").read_text()
    code = text[text.index("with AvailabilityView") :].strip()
    assert code in (ROOT / "docs/availability-view.md").read_text()
    assert len(code.splitlines()) <= 15


def test_a_process_with_a_view_loads_neither_faust_nor_a_store() -> None:
    """Asked in a process of its own: this one has loaded more."""
    foreign = ("faust", "mode", "aiokafka", "rocksdict", "redis")
    code = (
        "import sys, state.views.availability.view;"
        f"print([name for name in {foreign} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
