"""A worker as a program: what it says where it cannot start."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.paths import ROOT
from infra.stack.processes import child_environment
from streams.runtime.app import BatchApp, Ownership

# Nothing listens there, and nobody has to wait long to be refused.
NOWHERE = "127.0.0.1:1"


@pytest.mark.programs
def test_every_line_of_a_worker_has_the_form_and_the_level_of_its_settings(
    tmp_path: Path,
) -> None:
    # Faust's own option takes nothing from what was asked for.
    option = ("-l", "error")
    ended = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "docs.examples.count_per_key", "worker", *option],
        cwd=ROOT,
        env={
            **child_environment(),
            "KAFKA_BROKERS": NOWHERE,
            "SEATSTREAM_DATA_DIR": str(tmp_path),
            "LOG_FORMAT": "json",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 70
    # No spinner between the lines.
    assert "\x1b" not in ended.stdout + ended.stderr
    # librdkafka writes lines of its own about brokers that refuse it.
    told = [line for line in ended.stderr.splitlines() if not line.startswith("%")]
    lines = [json.loads(line) for line in told]
    assert any(line["message"].startswith("settings Settings(") for line in lines)
    assert lines[-1]["level"] == "CRITICAL"
    assert "no answer from the brokers" in lines[-1]["message"]


class Closing:
    """A generation that is closed when the test says so."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def close(self) -> None:
        await self.may_end.wait()


def test_f23_who_leaves_while_a_rebalance_closes_the_generation_waits_for_it() -> None:
    async def test() -> None:
        opened: list[Any] = []
        generation = Closing()
        app: Any = SimpleNamespace(
            generation=generation,
            _left=None,
            should_stop=False,
            open_generation=lambda *asked: opened.append(asked),
        )
        app.close_generation = lambda: BatchApp.close_generation(app)
        ownership: Any = SimpleNamespace(app=app, _tables_registered=asyncio.Event())
        rebalance = asyncio.create_task(Ownership.on_rebalance(ownership, set(), set(), set(), 2))
        await asyncio.sleep(0)
        app.should_stop = True
        leaving = asyncio.create_task(app.close_generation())
        await asyncio.sleep(0)
        assert not leaving.done()
        generation.may_end.set()
        await asyncio.gather(rebalance, leaving)
        assert not opened

    asyncio.run(test())
