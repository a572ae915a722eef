"""A worker as a program: what it says where it cannot start."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.paths import ROOT
from infra.stack.processes import child_environment
from state.stores.rocksdb import CorruptStore
from streams.runtime.app import kept_in

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


def test_what_partitions_keep_is_added_up_and_a_damaged_one_holds_up_none() -> None:
    def count(state: Any) -> dict[str, int]:
        if state is None:
            raise CorruptStore("told so")
        return {"DONE": state, "PENDING": 0}

    def partition(counts: Any, state: Any) -> Any:
        return SimpleNamespace(route=SimpleNamespace(role="payments", counts=counts), state=state)

    partitions = [partition(count, 2), partition(None, 9), partition(count, None)]
    found = kept_in([*partitions, partition(count, 3)])
    assert found == {("payments", "DONE"): 5, ("payments", "PENDING"): 0}
