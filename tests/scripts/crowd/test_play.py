"""A crowd is served fairly by real servers, while the pod that lets it in and Redis are killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.paths import ROOT


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.programs
@pytest.mark.timeout(600)
def test_the_demo_of_a_waiting_room_lets_a_crowd_in_fairly(tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    words = ("--waiting-room", "--seats", "20", "--partitions", "2")
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.demo", *words, "--summary", str(summary)],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=580,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-2_000:]
    told = json.loads(summary.read_text(encoding="utf-8"))
    assert (told["seats"], told["sold"], told["entered"]) == (20, 20, 200)
    assert 10 <= told["admitted"] <= 200
    for name in ("admitted_twice", "order_violations", "lost_in_line", "violations"):
        assert told[name] == 0, told
