"""The benchmark of the workers after the money: that it runs, never how fast anything is."""

import json
from pathlib import Path

import pytest

from benchmarks.workers import KINDS, QUICK, SCENARIOS, Sizes, main, parse


def test_all_kinds_are_measured_unless_some_are_named() -> None:
    assert set(SCENARIOS) == set(KINDS)
    assert parse([]).scenarios == []
    assert parse(["schedule_slots"]).scenarios == ["schedule_slots"]
    with pytest.raises(SystemExit):
        parse(["fast"])


def test_there_is_a_backlog_for_each_kind() -> None:
    for sizes in (Sizes(), QUICK):
        assert set(sizes.events) == set(KINDS)


@pytest.mark.kafka
@pytest.mark.bench
@pytest.mark.timeout(300)
def test_every_kind_runs_by_itself_and_by_twos(tmp_path: Path) -> None:
    out = tmp_path / "workers.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["quick"] is True
    assert set(document["scenarios"]) == set(KINDS)
    for scenario in document["scenarios"].values():
        for name in ("one_per_s", "two_per_s", "one_cpu_us", "two_cpu_us"):
            assert scenario["figures"][name]["least"] > 0
