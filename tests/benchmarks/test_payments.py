"""The benchmark of payments: what is computed, never how fast anything is; and that it runs."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measuring.offered_load import sighted
from benchmarks.payment_runs.settling import backlog_of
from benchmarks.payment_runs.till import holds
from benchmarks.payments import QUICK, SCENARIOS, Sizes, main, parse
from benchmarks.pod_runs.arena import EVENT_ID, Arena, Command, openings
from schemas.topics import SECTION_COMMANDS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.keys import partition_of, section_key, split_issued_id
from state.records.commands import CommandEncoders
from state.records.names import OpenSection

IDS = counted_ids()
ENCODERS = CommandEncoders(IDS)
S = 1_000_000_000


def opening(arena: Arena) -> OpenSection:
    verdict = TopicDecoder(SECTION_COMMANDS, IDS).decode(next(openings(arena, ENCODERS)).value)
    assert isinstance(verdict, Decoded)
    return OpenSection(*verdict.fields)


def test_seats_cost_what_their_arena_says_or_have_no_price() -> None:
    priced = opening(Arena(1, rows=1, price=4_500))
    assert (priced.currency, priced.prices) == (b"EUR", ((b"all", 4_500),))
    assert not opening(Arena(1, rows=1)).currency


def test_holds_have_ids_by_which_a_pod_finds_their_partition() -> None:
    held = list(holds(Arena(7), ENCODERS, 50, "seed"))
    assert held == list(holds(Arena(7), ENCODERS, 50, "seed"))
    assert len({one.reservation_id for one in held}) == 50
    keys = {section_key(EVENT_ID, name) for name in Arena(7).names()}
    for one in held:
        parts = split_issued_id(one.reservation_id)
        assert parts is not None
        assert parts.partition == partition_of(one.key, SECTION_COMMANDS.partitions)
        assert one.key in keys


@given(st.integers(1, 10_000), st.integers(1, 1_000), st.floats(0.1, 100))
def test_a_backlog_lasts_as_long_as_is_measured_unless_that_is_too_much(
    delay_ms: int, calls: int, seconds: float
) -> None:
    settled_meanwhile = calls * seconds / (delay_ms / 1000)
    count = backlog_of(delay_ms, calls, seconds, 10**12)
    # The first tenth is not measured.
    assert 0.9 * count >= settled_meanwhile
    assert backlog_of(delay_ms, calls, seconds, 7) == min(7, count)


def test_a_gateway_without_delay_gets_all_that_may_be_sent() -> None:
    assert backlog_of(0, 32, 20, 1_234) == 1_234


def test_each_sale_is_timed_from_when_its_start_was_due() -> None:
    commands = [Command(name, b"key", b"value") for name in ("a", "b", "c")]
    seen = [([(b"a", 4), (b"stranger", 4)], 12 * S), ([(b"b", 5), (b"a", 4)], 13 * S)]
    sightings, times_seen = sighted(seen, commands, 10 * S, 2)
    assert [tuple(one) for one in sightings] == [
        (4, 10 * S, 12 * S),
        (5, 10 * S + S // 2, 13 * S),
        (4, 10 * S, 13 * S),
    ]
    assert times_seen == [2, 1, 0]


def test_all_scenarios_run_unless_some_are_named() -> None:
    assert parse([]).scenarios == []
    assert parse(["settled"]).scenarios == ["settled"]
    for wrong in (["fast"], ["--runs", "0"], ["--seconds", "0"]):
        with pytest.raises(SystemExit):
            parse(wrong)


def test_there_is_a_rate_for_each_gateway() -> None:
    for sizes in (Sizes(), QUICK):
        assert len(sizes.rates) == len(sizes.delays_ms)


@pytest.mark.kafka
@pytest.mark.bench
@pytest.mark.timeout(480)
def test_every_scenario_runs_and_tells_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "payments.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert document["seed"] == 1
    assert document["machine"]["cores"]
    figures = {name: one["figures"] for name, one in document["scenarios"].items()}
    assert set(figures) == set(SCENARIOS)
    assert figures["settled"]["delay_300_calls_32_settled_per_s"]["least"] > 0
    assert figures["paced"]["delay_300_p50_ms"]["least"] >= 300
    assert figures["paced"]["delay_300_twice"]["most"] == 0
    assert figures["burst"]["delay_300_users_20_p95_ms"]["least"] >= 300
    assert figures["burst"]["delay_300_users_20_not_once_percent"]["most"] == 0
    assert figures["accepted"]["c4_not_202"]["most"] == 0
    assert figures["accepted"]["c4_p99_ms"]["least"] > 0
