"""Benchmarks of pods: what is computed, never how fast anything is; and that they run at all."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measuring.ages import Answer, Publications, Published, ages_of, figures_of
from benchmarks.measuring.cluster import BenchmarkFailed
from benchmarks.measuring.wrk import Generator, NoGenerator, answers_in
from benchmarks.pod_runs.full_map_pod import SeatMapDecoder
from benchmarks.pod_runs.statuses import (
    SEATS,
    Form,
    Hall,
    StatusWriter,
    read_seat_map,
    seat_map_bytes,
    seats,
)
from benchmarks.pods import SCENARIOS, main, parse, sizes_of
from schemas.topics import SECTION_STATUS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.status import SectionStatus, fault_of

MS = 1_000_000
IDS = counted_ids()
REPORT = """Running 1s test @ http://127.0.0.1:1
  2 threads and 10 connections
{"requests":200,"duration_us":2000000,"bytes":4000,"bad":3,"statuses":{"201":190,"409":10},\
"latency_us":{"p50":1500,"p90":2500,"p99":9000,"p999":9500,"max":10000}}
"""


# --- ages ------------------------------------------------------------------------------------


def published(*told: tuple[int, int, int, int]) -> list[Published]:
    """Return records of (section, version, due in ms, commit acknowledged in ms)."""
    return [Published(one[0], one[1], one[2] * MS, one[3] * MS) for one in told]


def answer(sent_ms: int, got_ms: int, claimed_ms: int, *versions: int) -> Answer:
    return Answer(sent_ms * MS, got_ms * MS, claimed_ms, dict(enumerate(versions)))


FOUR = published((0, 5, 10, 15), (1, 8, 12, 15), (0, 6, 30, 40), (0, 7, 50, 60))


def test_a_record_is_as_old_as_the_first_answer_that_carries_it_or_a_later_one() -> None:
    answers = [
        answer(14, 16, 0, 4, 7),
        answer(20, 22, 0, 5, 7),  # record (0, 5) after 12 ms, 7 after its commit
        answer(65, 67, 0, 7, 8),  # (1, 8) after 55, (0, 6) after 37, (0, 7) after 17
        answer(70, 72, 0, 7, 8),
    ]
    ages = ages_of(FOUR, answers, 0, 1_000 * MS)
    assert list(ages.from_append) == [12, 17, 37, 55]
    assert list(ages.from_commit) == [7, 7, 27, 52]
    assert ages.unseen == 0


def test_an_answer_ahead_of_the_acknowledgement_is_no_time_behind_the_commit() -> None:
    ages = ages_of(FOUR, [answer(11, 13, 0, 5, 8)], 0, 20 * MS)
    assert list(ages.from_append) == [1, 3]
    assert list(ages.from_commit) == [0, 0]


def test_an_answer_is_as_old_as_the_first_record_that_it_lacks() -> None:
    answers = [
        answer(14, 15, 0, 4, 7),  # lacks two that are acknowledged at this moment
        answer(45, 48, 0, 5, 7),  # lacks (1, 8) of 15, and (0, 6) of 40
        answer(45, 48, 0, 5, 8),  # lacks (0, 6) of 40
        answer(45, 48, 0, 6, 8),  # lacks (0, 7), not committed yet
        answer(90, 92, 0, 7, 8),
    ]
    ages = ages_of(FOUR, answers, 0, 1_000 * MS)
    assert list(ages.true_ages) == [0, 0, 0, 8, 33]


@pytest.mark.parametrize(
    ("sent_ms", "claimed_ms", "too_young"),
    [
        # (1, 8) is visible for certain at 40, when the next transaction was acknowledged.
        (40, 0, 0),
        (60, 20, 0),
        (60, 19, 0),  # a claim is in whole milliseconds
        (60, 18, 1),
        (90, 18, 1),
    ],
)
def test_a_claim_is_too_young_when_a_record_was_certainly_visible_before_it(
    sent_ms: int, claimed_ms: int, too_young: int
) -> None:
    asked = answer(sent_ms, sent_ms + 1, claimed_ms, 7, 7)
    assert ages_of(FOUR, [asked], 0, 1_000 * MS).too_young == too_young


def test_what_the_last_transaction_published_is_never_visible_for_certain() -> None:
    assert ages_of(FOUR, [answer(900, 901, 0, 6, 8)], 0, 1_000 * MS).too_young == 0


def test_only_records_due_within_the_window_are_waited_for() -> None:
    answers = [answer(25, 26, 0, 5, 8), answer(45, 46, 0, 6, 8)]
    ages = ages_of(FOUR, answers, 30 * MS, 50 * MS)
    assert list(ages.from_append) == [16]
    assert ages.unseen == 0
    assert ages_of(FOUR, answers, 30 * MS, 51 * MS).unseen == 1


@st.composite
def flows(draw: st.DrawFn) -> tuple[list[Published], list[Answer]]:
    """Draw a flow over two sections, and answers that never go back in version."""
    records, now_ms = [], 0
    version_of: dict[int, int] = defaultdict(int)
    for _ in range(draw(st.integers(1, 12))):
        now_ms += draw(st.integers(1, 20))
        section = draw(st.integers(0, 1))
        version_of[section] += 1
        due_ms = draw(st.integers(max(0, now_ms - 10), now_ms))
        records.append(Published(section, version_of[section], due_ms * MS, now_ms * MS))
    answers, known, at_ms = [], [0, 0], 0
    for _ in range(draw(st.integers(1, 12))):
        at_ms += draw(st.integers(1, 20))
        known = [draw(st.integers(known[n], version_of[n])) for n in (0, 1)]
        answers.append(answer(at_ms, at_ms + 1, draw(st.integers(0, 50)), *known))
    return records, answers


@given(flows())
def test_every_record_is_seen_once_or_not_at_all(
    flow: tuple[list[Published], list[Answer]],
) -> None:
    records, answers = flow
    ages = ages_of(records, answers, 0, 10**12)
    assert len(ages.from_append) + ages.unseen == len(records)
    last = answers[-1].version_by_section
    assert ages.unseen == sum(one.version > last[one.section] for one in records)
    assert len(ages.true_ages) == len(ages.claimed) == len(answers)
    assert min(ages.true_ages) >= 0


@given(flows())
def test_claims_of_the_true_age_are_never_too_young(
    flow: tuple[list[Published], list[Answer]],
) -> None:
    records, answers = flow
    honest = [
        one._replace(claimed_ms=int(ages_of(records, [one], 0, 10**12).true_ages[0]))
        for one in answers
    ]
    assert ages_of(records, honest, 0, 10**12).too_young == 0


def test_publications_survive_their_file(tmp_path: Path) -> None:
    Publications.of(FOUR).write(tmp_path / "published")
    found = Publications.read(tmp_path / "published")
    assert list(found) == FOUR
    assert found.within(15 * MS, 60 * MS) == 3
    assert found.last_versions() == {0: 7, 1: 8}


def test_ages_become_figures_with_their_units() -> None:
    figures = figures_of(ages_of(FOUR, [answer(65, 67, 3, 7, 8)], 0, 1_000 * MS))
    assert figures["append_to_answer_p50_ms"] == 37
    assert figures["claimed_staleness_max_ms"] == 3
    assert figures["claims_too_young"] == figures["never_answered"] == 0


# --- statuses --------------------------------------------------------------------------------


def test_a_section_has_one_number_and_a_number_one_section() -> None:
    hall = Hall(3, 4)
    places = [hall.place(number) for number in range(hall.sections)]
    assert len(set(places)) == 12
    assert [hall.number(*place) for place in places] == list(range(12))
    assert {event for event, _ in places} == {1, 2, 3}


@given(number=st.integers(0, 5), version=st.integers(0, 3 * SEATS), at_ms=st.integers(0, 2**40))
def test_both_forms_tell_the_same_possible_counts(number: int, version: int, at_ms: int) -> None:
    hall = Hall(2, 3)
    slim = StatusWriter(hall, Form.SLIM, IDS).value(number, version, at_ms)
    whole = StatusWriter(hall, Form.MAP, IDS).value(number, version, at_ms)
    told = TopicDecoder(SECTION_STATUS, IDS).decode(slim)
    assert isinstance(told, Decoded)
    assert SeatMapDecoder(IDS).decode(whole) == told
    event_id, section, free, as_of_ms, told_version, held, largest_block = told.fields
    assert (event_id, section.decode()) == hall.place(number)
    assert (as_of_ms, told_version) == (at_ms, version)
    assert not fault_of(SectionStatus(version, at_ms, free, held, largest_block))


def test_a_seat_map_has_twenty_bytes_a_seat_and_every_seat() -> None:
    counts = (1, "S0000", 2, 0, 1, SEATS - 2, 2)
    whole = seat_map_bytes(counts, seats(2))
    assert 20 * SEATS <= len(whole) <= 20 * SEATS + 100
    fields = read_seat_map(whole)
    assert tuple(fields.values())[:-1] == counts
    assert len(fields["seatStatuses"]) == SEATS
    assert list(fields["seatStatuses"].values()).count("AVAILABLE") == 2


# --- the load generator ----------------------------------------------------------------------


def test_what_the_load_generator_tells_is_read() -> None:
    answers = answers_in(REPORT, cpu_s=0.5)
    assert answers.statuses == {201: 190, 409: 10}
    figures = answers.figures("lookups")
    assert figures["lookups_per_s"] == 100
    assert (figures["p50_ms"], figures["p99_ms"], figures["max_ms"]) == (1.5, 9.0, 10.0)
    assert figures["bad_answers"] == 3
    assert figures["load_cpu_percent"] == 25


@pytest.mark.parametrize("output", ["", "unable to connect\n", REPORT.replace(":200,", ":0,")])
def test_a_load_that_got_no_answer_is_no_figure(output: str) -> None:
    with pytest.raises(BenchmarkFailed):
        answers_in(output, 0.0)


def test_a_generator_is_found_on_the_path_or_unpacked_and_else_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoGenerator, match="apt-get"):
        Generator.found(tmp_path / "nothing")
    program = tmp_path / "unpacked" / "usr" / "bin" / "wrk"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "wrk inside [epoll]"\n')
    program.chmod(0o755)
    assert Generator.found(tmp_path / "unpacked").version() == "inside"
    (tmp_path / "wrk").write_text('#!/bin/sh\necho "wrk outside [epoll]"\n')
    (tmp_path / "wrk").chmod(0o755)
    assert Generator.found(tmp_path / "unpacked").version() == "outside"


# --- the command -----------------------------------------------------------------------------


def test_all_scenarios_run_unless_some_are_named() -> None:
    assert parse([]).scenarios == []
    assert parse(["lookups"]).scenarios == ["lookups"]
    for wrong in (["fast"], ["--runs", "0"]):
        with pytest.raises(SystemExit):
            parse(wrong)
    assert set(SCENARIOS) == {"lookups", "cold_start", "used_start", "reservations", "slimming"}


def test_sizes_follow_the_options() -> None:
    sizes = sizes_of(parse(["--connections", "7", "--seconds", "3"]))
    assert (sizes.connections, sizes.seconds) == (7, 3)
    assert sizes_of(parse(["--quick"])).large.sections < 1_000


def is_there() -> bool:
    try:
        Generator.found()
    except NoGenerator:
        return False
    return True


@pytest.mark.kafka
@pytest.mark.bench
@pytest.mark.timeout(280)
@pytest.mark.skipif(not is_there(), reason="no wrk here; docs/benchmarks.md tells how to get it")
def test_every_scenario_runs_and_tells_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "pods.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert document["versions"]["wrk"]
    figures = {name: one["figures"] for name, one in document["scenarios"].items()}
    assert set(figures) == set(SCENARIOS)
    assert figures["lookups"]["bad_answers"]["most"] == 0
    assert figures["lookups"]["never_answered"]["most"] == 0
    assert figures["reservations"]["c4_not_201"]["most"] == 0
    assert figures["slimming"]["slim_bytes"]["most"] <= 50
