"""The benchmark of the booking queue: that it runs and writes figures; never how fast."""

import json
from pathlib import Path

import pytest

from benchmarks.booking_queue import SCENARIOS, main, parse


def test_every_scenario_is_offered_and_no_other() -> None:
    assert parse(["script", "passed"]).scenarios == ["script", "passed"]
    with pytest.raises(SystemExit):
        parse(["nothing"])


@pytest.mark.kafka
@pytest.mark.redis
def test_a_quick_run_measures_every_scenario(tmp_path: Path) -> None:
    out = tmp_path / "queue.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert set(document["scenarios"]) == set(SCENARIOS)
    for scenario, of_its_own in (("passed", {"unanswered"}), ("logged", {"read_s", "read_per_s"})):
        figures = document["scenarios"][scenario]["figures"]
        for step in ("enqueue", "look", "take_and_complete"):
            assert {f"{step}_per_s", f"{step}_p50_ms", f"{step}_p99_ms"} <= set(figures)
        assert {"bytes_each_after_enqueue", *of_its_own} <= set(figures)
    assert set(document["scenarios"]["script"]["figures"]) == {
        "enqueue_us", "look_us", "cancel_us", "take_us", "complete_us",
    }  # fmt: skip
