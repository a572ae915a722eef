"""The benchmark of the audit: what is computed, never how fast anything is; and that it runs."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.audit import QUICK, SCENARIOS, Sizes, looked_at, main, parse
from infra.paths import ROOT
from infra.stack.processes import Child, child_environment, wait_until

DEAD_PID = 2**22 + 1
"""No process of Linux can have it."""


def test_all_scenarios_run_unless_some_are_named() -> None:
    assert parse([]).scenarios == []
    assert parse(["judged", "judged_4"]).scenarios == ["judged", "judged_4"]
    for wrong in (["fast"], ["--commands", "0"]):
        with pytest.raises(SystemExit):
            parse(wrong)
    for sizes in (Sizes(), QUICK):
        assert sizes.outstanding * 2 < sizes.commands


def test_memory_and_time_are_those_of_a_process_and_its_children(tmp_path: Path) -> None:
    child = Child(("sleep", "60"), ROOT, tmp_path / "log", child_environment())
    try:
        assert wait_until(lambda: len(looked_at(os.getpid()).rss_mb) >= 2, 60)
        own = looked_at(os.getpid())
        assert own.cpu_s > looked_at(child.pid).cpu_s >= 0
        assert min(own.rss_mb) > 0
    finally:
        child.kill()
    assert looked_at(DEAD_PID).rss_mb == ()


@pytest.mark.kafka
@pytest.mark.bench
@pytest.mark.timeout(280)
def test_every_scenario_runs_and_tells_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "audit.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert set(document["scenarios"]) == set(SCENARIOS)
    for scenario in document["scenarios"].values():
        assert scenario["figures"]["records_per_s"]["least"] > 0
        assert scenario["figures"]["rss_most_mb"]["least"] > 0
        assert scenario["sizes"]["records"]["section-commands"] > scenario["sizes"]["commands"]
