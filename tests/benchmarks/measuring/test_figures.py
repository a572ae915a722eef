"""Figures of benchmarks: what is computed, never how fast anything is."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measuring.figures import Scenario, Target, latencies, percentile, shown, summary
from benchmarks.measuring.latency import Sightings
from benchmarks.measuring.process import labelled, samples
from benchmarks.measuring.results import write
from benchmarks.pod_runs.arena import EVENT_ID, Arena, Command, Holds, openings
from benchmarks.seat_runs.drained import Sample, rates
from benchmarks.seat_runs.recovery import Step, rate_of
from benchmarks.seat_runs.stock_faust import first_fit
from benchmarks.seats import SCENARIOS, parse
from schemas.topics import SECTION_COMMANDS
from scripts.traffic.sending import CommandEncoders
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.keys import section_key

VALUES = st.lists(st.integers(0, 10**6), min_size=1, max_size=50)
SHARES = st.floats(0.001, 1.0)
ENCODERS = CommandEncoders(counted_ids())
DECODER = TopicDecoder(SECTION_COMMANDS, counted_ids())
MS = 1_000_000


@given(VALUES)
def test_a_summary_lies_between_its_least_and_most(values: list[int]) -> None:
    figure = summary(values)
    assert figure.least == min(values)
    assert figure.most == max(values)
    below = sum(value < figure.median for value in values)
    above = sum(value > figure.median for value in values)
    assert max(below, above) <= len(values) / 2


@given(VALUES, SHARES)
def test_a_percentile_is_the_least_value_that_the_share_does_not_exceed(
    values: list[int], share: float
) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_percentiles_of_a_hundred_latencies_are_their_ranks() -> None:
    assert latencies([float(ms) for ms in range(1, 101)]) == {
        "p50_ms": 50.0,
        "p90_ms": 90.0,
        "p99_ms": 99.0,
        "max_ms": 100.0,
    }
    assert latencies([]) == {}


@pytest.mark.parametrize(
    ("target", "value", "is_met"),
    [
        (Target("x", at_least=10), 10, True),
        (Target("x", at_least=10), 9.9, False),
        (Target("x", at_most=10), 10, True),
        (Target("x", at_most=10), 10.1, False),
    ],
)
def test_a_target_includes_its_bound(target: Target, value: float, is_met: bool) -> None:
    assert target.is_met_by(value) is is_met


def test_rates_are_taken_between_the_first_and_the_last_sample() -> None:
    window = [
        Sample(at_s=10.0, done=1_000, worker_cpu_s=5.0, broker_cpu_s=2.0, rss_mb=1.0),
        Sample(at_s=10.5, done=4_000, worker_cpu_s=5.4, broker_cpu_s=2.1, rss_mb=1.0),
        Sample(at_s=12.0, done=11_000, worker_cpu_s=5.5, broker_cpu_s=2.2, rss_mb=1.0),
    ]
    assert rates(window) == pytest.approx(
        {"decisions_per_s": 5_000, "worker_cpu_us": 50, "broker_cpu_us": 20}
    )


def test_a_restore_rate_needs_steps_of_the_counter() -> None:
    steps = [Step(float(second), 100.0 * second) for second in range(1, 6)]
    assert rate_of(steps) == 100.0
    assert rate_of(steps[:2]) is None


def test_sightings_survive_their_file(tmp_path: Path) -> None:
    sightings = Sightings.none()
    sightings.add(3, 10 * MS, 25 * MS)
    sightings.add(4, 20 * MS, 21 * MS)
    sightings.write(tmp_path / "seen")
    assert list(Sightings.read(tmp_path / "seen")) == [
        (3, 10 * MS, 25 * MS),
        (4, 20 * MS, 21 * MS),
    ]


def test_latencies_count_only_what_was_due_within_the_window() -> None:
    sightings = Sightings.none()
    for sent_ms, seen_ms in ((9, 500), (10, 25), (19, 20), (20, 500)):
        sightings.add(0, sent_ms * MS, seen_ms * MS)
    assert sightings.ordered_ms(10 * MS, 20 * MS) == [1.0, 15.0]


def test_a_partition_is_back_with_the_first_outcome_of_a_command_sent_after_the_kill() -> None:
    sightings = Sightings.none()
    sightings.add(0, 90 * MS, 130 * MS)  # sent before: decided before, or by the next owner
    sightings.add(0, 110 * MS, 7_100 * MS)
    sightings.add(0, 120 * MS, 6_100 * MS)
    sightings.add(1, 100 * MS, 150 * MS)
    sightings.add(2, 90 * MS, 95 * MS)  # nothing came after: missing
    assert sightings.back_after_s(100 * MS) == {0: 6.0, 1: 0.05}


def test_metrics_are_read_by_name_and_label() -> None:
    text = """# TYPE d counter
d_total{reason="HELD"} 12.0
d_total{reason="SOLD_OUT"} 3.0
e 1.5
"""
    found = samples(text)
    assert found["e"] == 1.5
    assert labelled(found, "d_total") == {"HELD": 12.0, "SOLD_OUT": 3.0}


def test_a_result_file_tells_figures_targets_and_every_run(tmp_path: Path) -> None:
    scenario = Scenario(
        "drained",
        "a test",
        {"commands": 10},
        [{"decisions_per_s": 100.0}, {"decisions_per_s": 300.0}, {"decisions_per_s": 150.0}],
        (Target("decisions_per_s", at_least=160), Target("not_measured", at_most=1)),
    )
    write(tmp_path / "new" / "result.json", {"seed": 7}, {"drained": scenario})
    document = json.loads((tmp_path / "new" / "result.json").read_text())
    assert document["seed"] == 7
    measured = document["scenarios"]["drained"]
    assert measured["figures"] == {"decisions_per_s": {"median": 150, "least": 100, "most": 300}}
    assert [run["decisions_per_s"] for run in measured["runs"]] == [100, 300, 150]
    (target,) = measured["targets"]
    assert (target["figure"], target["median"], target["met"]) == ("decisions_per_s", 150, False)
    assert "NOT MET" in scenario.table()


@pytest.mark.parametrize(
    ("value", "text"),
    [(101_234.5, "101,234"), (25.0, "25"), (17.26, "17.3"), (0.0, "0"), (160.4, "160")],
)
def test_numbers_are_shown_without_digits_that_mean_nothing(value: float, text: str) -> None:
    assert shown(value) == text


def test_all_scenarios_run_unless_some_are_named() -> None:
    assert parse([]).scenarios == []
    assert parse(["drained", "stock"]).scenarios == ["drained", "stock"]
    for wrong in (["fast"], ["--runs", "0"], ["drained", "--commands", "0"]):
        with pytest.raises(SystemExit):
            parse(wrong)
    assert {"drained", "stock", "paced", "failover"} <= set(SCENARIOS)


def fields_of(command: Command) -> Decoded:
    decoded = DECODER.decode(command.value)
    assert isinstance(decoded, Decoded)
    return decoded


@pytest.mark.parametrize("is_random", [False, True])
def test_holds_are_readable_distinct_and_the_same_for_the_same_seed(is_random: bool) -> None:
    holds = Holds(Arena(7), 300, "seed", is_random=is_random)
    commands = list(holds.commands(ENCODERS))
    assert commands == list(holds.commands(ENCODERS))
    assert len({command.reservation_id for command in commands}) == 300
    for command in commands:
        reservation_id, _, _, section, event_id, _, seat_count = fields_of(command).fields
        assert reservation_id.decode() == command.reservation_id
        assert command.key == section_key(EVENT_ID, section.decode())
        assert event_id == EVENT_ID
        assert 1 <= seat_count <= 4
    times = [command.reservation_id[:13] for command in commands]
    assert (times == sorted(times)) is not is_random


def test_later_numbers_give_later_ids() -> None:
    early, late = (
        list(Holds(Arena(1), 10, "seed", first=first).commands(ENCODERS)) for first in (0, 10_000)
    )
    assert max(early).reservation_id < min(late).reservation_id


def test_with_turnover_each_hold_is_released_after_the_outstanding_ones() -> None:
    holds = Holds(Arena(1), 40, "seed", outstanding=5)
    commands = list(holds.commands(ENCODERS))
    assert len(commands) == 40
    names = Counter(fields_of(command).name.rpartition(".")[2] for command in commands)
    assert names["ReleaseReservation"] == 17
    held: list[str] = []
    for command in commands:
        if fields_of(command).name.endswith("ReleaseReservation"):
            assert command.reservation_id == held.pop(0)
        else:
            held.append(command.reservation_id)
        assert len(held) <= 6


def test_openings_open_each_section_once() -> None:
    commands = list(openings(Arena(3, rows=2, seats_per_row=4), ENCODERS))
    assert [command.key for command in commands] == [
        section_key(EVENT_ID, name) for name in ("S0000", "S0001", "S0002")
    ]
    assert all(fields_of(command).name.endswith("OpenSection") for command in commands)


@given(rows=st.lists(st.integers(0, 2**12 - 1), max_size=5), seat_count=st.integers(1, 4))
def test_the_baseline_takes_the_first_adjacent_free_seats(
    rows: list[int], seat_count: int
) -> None:
    wanted = (1 << seat_count) - 1
    places = [
        (row, first)
        for row, free in enumerate(rows)
        for first in range(12)
        if free >> first & wanted == wanted
    ]
    after = list(rows)
    taken = first_fit(after, seat_count)
    assert taken == (places[0] if places else None)
    if taken is not None:
        rows[taken[0]] &= ~(wanted << taken[1])
    assert after == rows
