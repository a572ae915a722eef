"""The benchmark of the booking queue: that it runs and writes figures; never how fast."""

import json
from pathlib import Path

import pytest

from benchmarks.booking_queue import QUICK, SCENARIOS, main, parse, sizes_of


def test_every_scenario_is_offered_and_no_other() -> None:
    assert parse(["script", "passed"]).scenarios == ["script", "passed"]
    with pytest.raises(SystemExit):
        parse(["nothing"])


def test_a_sale_has_the_buyers_and_the_queue_that_are_asked_for() -> None:
    sale = sizes_of(parse(["sale"])).sale
    assert (sale.arena.seats, sale.crowd.clients, sale.queue) == (5_000, 10_000, "redis")
    asked = sizes_of(parse(["sale", "--clients", "7000", "--in", "kafka"])).sale
    assert (asked.arena.seats, asked.crowd.clients, asked.queue) == (5_000, 7_000, "kafka")
    for clients in ("0", "100001"):
        with pytest.raises(SystemExit):
            parse(["sale", "--clients", clients])


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
    sale = {
        name: figure["median"] for name, figure in document["scenarios"]["sale"]["figures"].items()
    }
    seats, clients = QUICK.sale.arena.seats, QUICK.sale.crowd.clients
    assert (sale["sold"], sale["held"], sale["refused"]) == (seats, seats, clients - seats)
    for none in ("refused_otherwise", "unknown", "sold_twice", "left_held", "left_free"):
        assert sale[none] == 0
    assert sale["held_p99_ms"] >= sale["held_p50_ms"] > 0
    assert set(document["scenarios"]["sale"]["notes"]["refused_by_reason"]) == {"SOLD_OUT"}
