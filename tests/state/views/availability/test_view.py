import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.status_records import (
    EVENT,
    MS,
    PARTITIONS,
    Fed,
    counts,
    partition_of_section,
    value_of,
)

from infra.paths import ROOT
from infra.stack.processes import wait_until
from serdes.wire import header_of
from state.domain.keys import section_key
from state.domain.reasons import Reason
from state.domain.status import SectionStatus
from state.kafka.freshness import Freshness, LogShortened
from state.views.availability.answers import boot_clock_ns
from state.views.availability.contents import NEVER_MS, Change
from state.views.availability.view import AvailabilityView, Demand, NotReady, NotYet, TooStale


@pytest.fixture
def fed() -> Fed:
    """Give a view of section A at version 3, read to its end just now."""
    fed = Fed()
    fed.tell(counts(3, 10, held=2, largest=4))
    fed.heartbeat()
    return fed


# --- merging ---------------------------------------------------------------------------------

small = st.integers(0, 3)
possible = st.builds(
    lambda version, as_of_ms, free, held: SectionStatus(version, as_of_ms, free, held, free),
    st.integers(1, 5),
    small,
    small,
    small,
)


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), possible), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_f79_any_order_and_repetition_of_the_same_statuses_gives_the_same_view(
    told: list[tuple[str, SectionStatus]], chance: Random
) -> None:
    again = [*told, *told[::2]]
    chance.shuffle(again)
    views = []
    for order in (told, again):
        fed = Fed()
        for section, status in order:
            fed.tell(status, section)
        fed.heartbeat()
        views.append(fed.view.sections(EVENT))
    assert views[0] == views[1]


@given(st.lists(possible, min_size=1, max_size=12))
def test_i18_versions_seen_never_go_back(told: list[SectionStatus]) -> None:
    fed = Fed()
    fed.heartbeat()
    seen = []
    for status in told:
        fed.tell(status)
        answer = fed.view.get(EVENT, "A")
        assert answer is not None
        seen.append(answer.version)
    assert seen == sorted(seen)


# --- many records at once --------------------------------------------------------------------

SECTIONS = ("A", "B")


@dataclass(frozen=True)
class Told:
    """A record of a topic as the consumer gives it."""

    place: int
    at: int
    name: bytes | None
    body: bytes | None
    further: tuple[tuple[str, bytes], ...] = ()

    def partition(self) -> int:
        return self.place

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.body

    def headers(self) -> Any:
        return list(self.further)


@st.composite
def told_records(draw: st.DrawFn) -> list[Told]:
    """Return records of two sections: newer, older, equal, impossible, unreadable, astray."""
    records = []
    for at in range(draw(st.integers(1, 40))):
        section = draw(st.sampled_from(SECTIONS))
        status = draw(
            possible
            | st.builds(SectionStatus, *[st.integers(0, 4)] * 5)
            | st.just(SectionStatus(at + 1, at, 5, 0, 5))
        )
        body: bytes | None = value_of(status, section)
        key: bytes | None = section_key(EVENT, section)
        place = partition_of_section(section)
        further: tuple[tuple[str, bytes], ...] = ()
        match draw(st.sampled_from([""] * 8 + ["gone", "cut", "noise", "astray", "key", "heads"])):
            case "gone":
                body = None
            case "cut":
                body = value_of(status, section)[:-1]
            case "noise":
                body = draw(st.binary(max_size=12))
            case "astray":
                place = draw(st.integers(0, PARTITIONS - 1))
            case "key":
                key = draw(st.sampled_from([None, b"", b"7-Z", b"7-B", b"\xff"]))
            case "heads":
                further = (("x", b"1"),) * draw(st.sampled_from([1, 101]))
        records.append(Told(place, at, key, body, further))
    return records


@given(told_records(), st.integers(1, 7), st.booleans())
def test_f79_many_records_at_once_are_taken_in_as_one_by_one(
    records: list[Told], at_once: int, is_published: bool
) -> None:
    one, many = Fed(), Fed()
    messages: Any = records
    if is_published:
        one.heartbeat()
        many.heartbeat()
    changes, told = [], []
    for first in range(0, len(records), at_once):
        for record in records[first : first + at_once]:
            freshness = record.place, record.at
            changes.append(
                one.contents.apply(*freshness, record.name, record.body, record.headers())
            )
        told += many.contents.take(messages[first : first + at_once])
    assert told == ([change for change in changes if change] if is_published else [])
    assert many.contents.by_event == one.contents.by_event
    assert many.contents._doubtful_ns == one.contents._doubtful_ns
    assert many.contents._unreadable_ns == one.contents._unreadable_ns
    assert many.view.counters == one.view.counters
    for record in records:
        place = record.place, record.at
        assert many.contents.told_at(*place) == one.contents.told_at(*place)


@given(st.lists(st.integers(0, 3), max_size=30))
def test_what_was_told_lately_is_found_by_its_place_and_nothing_else_is(gaps: list[int]) -> None:
    fed = Fed()
    here, at, said = partition_of_section(), 0, {}
    for version, gap in enumerate(gaps, 1):
        at += gap + 1
        fed.contents.apply(here, at, section_key(EVENT, "A"), value_of(counts(version, version)))
        said[at] = (EVENT, "A", list(counts(version, version)))
    fed.view.publish(fed.contents)
    for offset in range(at + 2):
        assert fed.view.told_at(here, offset) == said.get(offset)


def test_f79_b82_a_lower_version_is_skipped_and_counted(fed: Fed) -> None:
    assert fed.tell(counts(2, 12)) is None
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.free) == (3, 10)
    assert fed.view.statistics().older == 1


def test_a_repetition_changes_nothing_and_is_no_alarm(fed: Fed) -> None:
    assert fed.tell(counts(3, 10, held=2, largest=4)) is None
    statistics = fed.view.statistics()
    assert (statistics.repeated, statistics.older, statistics.contradicted) == (1, 0, 0)


def test_one_version_with_two_counts_is_an_alarm(fed: Fed) -> None:
    fed.tell(counts(3, 9, held=3, largest=4))
    assert fed.view.statistics().contradicted == 1


def test_a_refusal_moves_the_time_of_a_version_and_is_no_alarm(fed: Fed) -> None:
    fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=1_500))
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert answer.as_of_ms == 1_500
    assert fed.view.statistics().contradicted == 0


def test_a_tombstone_removes_the_section_and_an_empty_event(fed: Fed) -> None:
    assert fed.view.events() == (EVENT,)
    change = fed.feed(partition_of_section(), section_key(EVENT, "A"), None)
    assert change == Change(EVENT, "A", None)
    assert fed.view.get(EVENT, "A") is None
    assert fed.view.events() == ()
    assert fed.view.sections(EVENT) == {}


def test_a_tombstone_of_an_unknown_section_changes_nothing(fed: Fed) -> None:
    assert fed.feed(partition_of_section("B"), section_key(EVENT, "B"), None) is None


# --- bad records -----------------------------------------------------------------------------


def other_partition(section: str) -> int:
    return (partition_of_section(section) + 1) % PARTITIONS


@pytest.mark.parametrize(
    ("partition", "key", "value", "reason"),
    [
        (0, b"7-A", b"", "EMPTY_VALUE"),
        (0, b"7-A", b"{}", "BAD_WIRE_HEADER"),
        (0, b"7-A", header_of(987_654), "UNKNOWN_SCHEMA"),
        (0, b"7-A", value_of(counts(4, 1)) + b"x", "BAD_BODY"),
        (0, b"7-A", value_of(counts(4, 1), "B"), "KEY_MISMATCH"),
        (0, None, value_of(counts(4, 1)), "KEY_MISMATCH"),
        (0, b"7-A", value_of(counts(4, -1, largest=0)), "IMPOSSIBLE_COUNTS"),
        (0, b"7-A", value_of(counts(4, 3, largest=5)), "IMPOSSIBLE_COUNTS"),
        (0, b"7-b", value_of(counts(4, 1), "b"), "BAD_KEY"),
        (0, b"tick", None, "BAD_KEY"),
        (0, None, None, "BAD_KEY"),
        (other_partition("A"), b"7-A", value_of(counts(4, 1)), "WRONG_PARTITION"),
    ],
)
def test_b82_a_bad_record_is_skipped_with_its_reason(
    fed: Fed, partition: int, key: bytes | None, value: bytes | None, reason: str
) -> None:
    assert fed.feed(partition, key, value) is None
    assert fed.view.statistics().bad == {reason: 1}
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.free) == (3, 10)


def test_what_stood_on_a_foreign_partition_gives_way_to_what_the_owner_says() -> None:
    fed = Fed()
    fed.feed(other_partition("A"), b"7-A", value_of(counts(90, 0)))
    fed.tell(counts(1, 10))
    fed.heartbeat()
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.free) == (1, 10)
    assert fed.view.statistics().bad == {"WRONG_PARTITION": 1}


@given(st.binary(max_size=40) | st.none(), st.binary(max_size=60) | st.none())
def test_no_bytes_end_the_view(key: bytes | None, value: bytes | None) -> None:
    fed = Fed()
    fed.feed(0, key, value)
    fed.heartbeat()
    assert fed.view.statistics().records == 1


def test_counts_of_a_producer_of_the_four_original_fields_refuse_by_free_seats_only() -> None:
    fed = Fed()
    fed.tell(counts(0, 10, largest=0))
    fed.heartbeat()
    assert fed.view.can_refuse(EVENT, "A", 8) is None
    assert fed.view.can_refuse(EVENT, "A", 11) is Reason.SOLD_OUT


def test_a_section_is_doubtful_from_a_bad_record_to_the_next_good_one(fed: Fed) -> None:
    fed.tell(counts(1, 3), "B")
    fed.heartbeat()
    fed.spoil("A")
    fed.now_ms += 6_000
    fed.heartbeat()
    doubtful, sure = fed.view.get(EVENT, "A"), fed.view.get(EVENT, "B")
    assert doubtful is not None
    assert sure is not None
    assert (doubtful.staleness_ms, doubtful.stale) == (6_000, True)
    assert (sure.staleness_ms, sure.stale) == (0, False)
    assert fed.view.can_refuse(EVENT, "A", 99) is None

    fed.tell(counts(4, 9))
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.staleness_ms, answer.stale) == (4, 0, False)


def test_a_second_bad_record_does_not_make_a_doubtful_section_younger(fed: Fed) -> None:
    fed.spoil()
    fed.now_ms += 1_000
    fed.heartbeat()
    fed.spoil()
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert answer.staleness_ms == 1_000


# --- freshness -------------------------------------------------------------------------------


def test_an_idle_topic_stays_fresh_by_its_heartbeat_alone(fed: Fed) -> None:
    fed.now_ms += 60_000
    fed.heartbeat()
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.staleness_ms, answer.stale) == (0, False)


def test_age_runs_from_the_question_not_from_its_answer(fed: Fed) -> None:
    asked_ms = fed.now_ms
    fed.now_ms += 700
    fed.heartbeat(asked_ms)
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert answer.staleness_ms == 700


def test_f81_after_a_pause_answers_are_stale_before_anything_is_read(fed: Fed) -> None:
    assert fed.view.can_refuse(EVENT, "A", 11) is Reason.SOLD_OUT
    fed.now_ms += 5_001
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.staleness_ms, answer.stale) == (5_001, True)
    assert fed.view.can_refuse(EVENT, "A", 11) is None
    assert fed.view.statistics().stepped_aside == 1


def test_an_answer_that_was_under_way_during_a_pause_does_not_hide_it(fed: Fed) -> None:
    asked_ms = fed.now_ms
    fed.now_ms += 10_000
    fed.heartbeat(asked_ms)
    assert fed.view.can_refuse(EVENT, "A", 11) is None


# What happens to one partition: an end offset learnt, records read, time gone by.
steps = st.lists(
    st.tuples(st.sampled_from(["append", "ask", "answer", "read", "time"]), st.integers(1, 5)),
    max_size=60,
)


@given(steps)
def test_everything_visible_when_the_age_begins_was_read(
    happenings: Sequence[tuple[str, int]],
) -> None:
    """A model of log and questions: at `known_ns` no record had been visible and not read."""
    freshness = Freshness(0, -1)
    now, end = 0, 0
    end_by_time = {0: 0}
    asked: list[tuple[int, int]] = []
    for what, amount in happenings:
        if what == "append":
            end += amount
        elif what == "time":
            now += amount
        elif what == "ask":
            asked.append((now, end))
        elif what == "answer" and asked:
            asked_at, told = asked.pop(0)
            freshness.ends_at(told, asked_at)
        elif what == "read":
            freshness.reached(min(end, freshness.position + amount))
        end_by_time[now] = min(end_by_time.get(now, end), end)
        if freshness.has_been_known:
            assert freshness.position >= end_by_time[freshness.known_ns]


def test_lag_does_not_keep_the_age_from_moving_on() -> None:
    freshness = Freshness(0, -1)
    for second in range(1, 11):
        freshness.ends_at(10 * second, second)
        freshness.reached(10 * second - 5)
    assert freshness.known_ns == 9


@pytest.mark.parametrize("shorter", ["end", "position"])
def test_a_log_that_became_shorter_is_noticed(shorter: str) -> None:
    freshness = Freshness(0, -1)
    freshness.ends_at(5, 1)
    freshness.reached(5)
    happens = {"end": lambda: freshness.ends_at(4, 2), "position": lambda: freshness.reached(4)}
    with pytest.raises(LogShortened):
        happens[shorter]()


def test_f80_a_cold_view_is_not_ready_and_refuses_nothing() -> None:
    fed = Fed()
    fed.tell(counts(1, 0))
    assert not fed.contents.is_complete()
    assert not fed.view.is_ready()
    assert fed.view.get(EVENT, "A") is None
    assert fed.view.can_refuse(EVENT, "A", 1) is None
    assert fed.view.staleness_ms() == NEVER_MS


def test_f80_ready_means_read_to_the_first_ends_that_were_told() -> None:
    fed = Fed()
    for partition in fed.contents.partitions:
        partition.ends_at(2, fed.now_ms * MS)
    for partition in fed.contents.partitions[1:]:
        partition.reached(2)
    assert not fed.contents.is_complete()
    fed.contents.partitions[0].ends_at(900, fed.now_ms * MS)
    fed.contents.partitions[0].reached(2)
    assert fed.contents.is_complete()


def test_the_clock_never_stands_still_or_goes_back() -> None:
    times = [boot_clock_ns() for _ in range(1_000)]
    assert times == sorted(times)
    assert times[0] < times[-1]


# --- look-ups and counters -------------------------------------------------------------------


def test_look_ups_and_misses_are_counted(fed: Fed) -> None:
    fed.view.get(EVENT, "A")
    fed.view.get(EVENT, "Z")
    fed.view.get(99, "A")
    fed.view.sections(99)
    statistics = fed.view.statistics()
    assert (statistics.lookups, statistics.misses) == (4, 3)
    assert statistics.miss_share == 0.75


def test_the_miss_share_forgets_what_is_older_than_a_minute(fed: Fed) -> None:
    fed.view.get(EVENT, "Z")
    for _ in range(100):
        fed.now_ms += 1_000
        fed.heartbeat()
        fed.view.get(EVENT, "A")
    assert fed.view.statistics().miss_share == 0


def test_all_sections_of_an_event_and_only_these_are_listed(fed: Fed) -> None:
    fed.tell(counts(1, 5), "B")
    fed.tell(counts(1, 6), "A", event=8)
    assert {name: answer.free for name, answer in fed.view.sections(EVENT).items()} == {
        "A": 10,
        "B": 5,
    }
    assert sorted(fed.view.events()) == [7, 8]


# --- the prefilter ---------------------------------------------------------------------------


def test_verdicts_of_the_prefilter_are_counted(fed: Fed) -> None:
    view = fed.view
    assert view.can_refuse(EVENT, "A", 11) is Reason.SOLD_OUT
    assert view.can_refuse(EVENT, "A", 5) is Reason.NO_ADJACENT_SEATS
    assert view.can_refuse(EVENT, "A", 5, adjacent=False) is None
    assert view.can_refuse(EVENT, "Z", 5) is None
    statistics = view.statistics()
    assert (statistics.refused, statistics.passed, statistics.unknown_passed) == (2, 1, 1)


def test_u3_the_prefilter_steps_aside_for_who_knows_a_newer_version(fed: Fed) -> None:
    assert fed.view.can_refuse(EVENT, "A", 11, min_version=3) is Reason.SOLD_OUT
    assert fed.view.can_refuse(EVENT, "A", 11, min_version=4) is None


def test_a_caller_may_narrow_the_bound_of_a_wrong_refusal_but_not_widen_it(fed: Fed) -> None:
    fed.now_ms += 300
    assert fed.view.can_refuse(EVENT, "A", 11, max_staleness_ms=300) is Reason.SOLD_OUT
    assert fed.view.can_refuse(EVENT, "A", 11, max_staleness_ms=299) is None
    fed.now_ms += 6_000
    assert fed.view.can_refuse(EVENT, "A", 11, max_staleness_ms=60_000) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["sell", "return", "publish", "heartbeat", "time"]), small),
        max_size=40,
    ),
    st.integers(1, 4),
)
def test_a_refusal_was_right_at_some_moment_within_its_bound(
    happenings: Sequence[tuple[str, int]], quantity: int
) -> None:
    """Seats go and come back while statuses arrive late; the view is asked at every step."""
    bound_ms = 1_000
    fed = Fed()
    free, version, waiting = 4, 1, counts(1, 4)
    fed.tell(waiting)
    fed.heartbeat()
    end_asked: tuple[int, int] = (fed.now_ms, 0)
    # (from when, free seats): what was visible on the topic, and until when.
    history = [(fed.now_ms, free)]
    for what, amount in happenings:
        if what == "time":
            fed.now_ms += 400 * amount
        elif what == "heartbeat":
            # The answer counts when everything visible at the question was taken in.
            end_asked = (fed.now_ms, version)
        elif what == "publish":
            fed.tell(waiting)
        else:
            free = max(0, free - amount) if what == "sell" else min(4, free + amount)
            version += 1
            waiting = counts(version, free)
            history.append((fed.now_ms, free))
        answer = fed.view.get(EVENT, "A")
        assert answer is not None
        if answer.version >= end_asked[1]:
            fed.heartbeat(end_asked[0])
        refused = fed.view.can_refuse(EVENT, "A", quantity, max_staleness_ms=bound_ms)
        if refused is not None:
            since_ms = fed.now_ms - bound_ms
            before = [seats for at_ms, seats in history if at_ms <= since_ms][-1:]
            within = [seats for at_ms, seats in history if at_ms > since_ms]
            assert any(seats < quantity for seats in [*before, *within])


# --- waits -----------------------------------------------------------------------------------


def test_what_satisfies_the_demand_is_answered_at_once(fed: Fed) -> None:
    answer = fed.view.wait(Demand(EVENT, "A", max_staleness_ms=0, min_version=3), 0)
    assert answer is not None
    assert (answer.version, answer.stale) == (3, False)


def test_u3_a_version_that_does_not_come_is_an_error_or_a_stale_answer_by_choice(
    fed: Fed,
) -> None:
    demand = Demand(EVENT, "A", min_version=4)
    with pytest.raises(NotYet, match="section 7-A is at version 3, not at 4"):
        fed.view.wait(demand, 0)
    answer = fed.view.wait(demand, 0, or_stale=True)
    assert answer is not None
    assert (answer.version, answer.stale) == (3, True)
    assert fed.view.statistics().not_yet == 2


def test_u3_an_age_that_is_not_reached_is_an_error_or_a_stale_answer_by_choice(fed: Fed) -> None:
    fed.now_ms += 50
    demand = Demand(EVENT, "A", max_staleness_ms=49)
    with pytest.raises(TooStale, match="50 ms ago, not 49 ms"):
        fed.view.wait(demand, 0)
    answer = fed.view.wait(demand, 0, or_stale=True)
    assert answer is not None
    assert (answer.staleness_ms, answer.stale) == (50, True)
    assert fed.view.statistics().too_stale == 2


def test_an_unknown_section_is_unknown_only_at_the_age_that_was_demanded(fed: Fed) -> None:
    assert fed.view.wait(Demand(EVENT, "Z", max_staleness_ms=10), 0) is None
    fed.now_ms += 50
    with pytest.raises(TooStale):
        fed.view.wait(Demand(EVENT, "Z", max_staleness_ms=10), 0)
    with pytest.raises(NotYet, match="unknown"):
        fed.view.wait(Demand(EVENT, "Z", min_version=1), 0)


@pytest.mark.parametrize("bad", [{"max_staleness_ms": -1}, {"min_version": -1}])
def test_a_demand_below_zero_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Demand(EVENT, "A", **bad)


def test_a_blocked_caller_is_woken_by_its_version() -> None:
    fed = Fed(now_ms=boot_clock_ns() // MS)
    fed.heartbeat()
    got: list[int] = []

    def wait() -> None:
        answer = fed.view.wait(Demand(EVENT, "A", min_version=2), 30)
        got.append(-1 if answer is None else answer.version)

    thread = threading.Thread(target=wait)
    thread.start()
    assert wait_until(lambda: len(fed.view._waiters) == 1, 10)
    fed.tell(counts(1, 5))
    assert not got
    fed.tell(counts(2, 4))
    thread.join(timeout=10)
    assert got == [2]
    assert len(fed.view._waiters) == 0


async def somebody_waits(fed: Fed) -> None:
    assert await asyncio.to_thread(wait_until, lambda: len(fed.view._waiters) == 1, 10)


def test_a_task_is_woken_by_its_version_and_leaves_no_waiter(fed: Fed) -> None:
    async def scenario() -> int:
        waiting = asyncio.create_task(fed.view.wait_async(Demand(EVENT, "A", min_version=5), 30))
        await somebody_waits(fed)
        await asyncio.to_thread(fed.tell, counts(5, 4))
        answer = await waiting
        assert answer is not None
        return answer.version

    assert asyncio.run(scenario()) == 5
    assert len(fed.view._waiters) == 0


def test_a_task_is_woken_by_a_heartbeat_that_makes_the_answer_young_enough(fed: Fed) -> None:
    fed.now_ms += 400

    async def scenario() -> int:
        demand = Demand(EVENT, "A", max_staleness_ms=100)
        waiting = asyncio.create_task(fed.view.wait_async(demand, 30))
        await somebody_waits(fed)
        await asyncio.to_thread(fed.heartbeat)
        answer = await waiting
        assert answer is not None
        return answer.staleness_ms

    assert asyncio.run(scenario()) == 0


def test_a_cancelled_task_leaves_no_waiter(fed: Fed) -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(fed.view.wait_async(Demand(EVENT, "A", min_version=9), 30))
        await somebody_waits(fed)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scenario())
    assert len(fed.view._waiters) == 0


def test_a_task_gets_its_error_at_the_deadline(fed: Fed) -> None:
    async def scenario() -> None:
        await fed.view.wait_async(Demand(EVENT, "A", min_version=9), 0.01)

    with pytest.raises(NotYet):
        asyncio.run(scenario())


# --- changes told ----------------------------------------------------------------------------


def test_listeners_hear_changes_in_order_until_they_leave(fed: Fed) -> None:
    heard: list[Change] = []
    leave = fed.view.listen(heard.extend)
    fed.tell(counts(4, 9))
    fed.tell(counts(2, 9))
    fed.feed(partition_of_section(), section_key(EVENT, "A"), None)
    leave()
    fed.tell(counts(5, 9))
    assert heard == [Change(EVENT, "A", counts(4, 9)), Change(EVENT, "A", None)]


def test_a_topic_read_anew_is_told_as_the_differences(fed: Fed) -> None:
    fed.tell(counts(1, 5), "B")
    fed.tell(counts(1, 6), "C")
    heard: list[Change] = []
    fed.view.listen(heard.extend)
    fed.contents = fed.view.new_reading(PARTITIONS)
    fed.tell(counts(1, 5), "B")
    fed.tell(counts(2, 5), "C")
    fed.tell(counts(1, 1), "D")
    assert heard == []
    answer = fed.view.get(EVENT, "A")
    assert answer is not None, "the former reading answers until the new one is complete"
    fed.heartbeat()
    assert {change.section: change.status for change in heard} == {
        "A": None,
        "C": counts(2, 5),
        "D": counts(1, 1),
    }
    assert fed.view.get(EVENT, "A") is None
    assert fed.view.statistics().readings == 2


# --- the object itself -----------------------------------------------------------------------


def test_nothing_is_connected_before_the_start() -> None:
    view = AvailabilityView("127.0.0.1:1")
    assert not view.is_ready()
    assert view.get(EVENT, "A") is None
    view.close()


def test_a_view_without_a_broker_says_so_in_time() -> None:
    with AvailabilityView("127.0.0.1:1") as view, pytest.raises(NotReady):
        view.wait_ready(0.05)


def test_the_example_is_short_and_stands_in_the_guide() -> None:
    text = (ROOT / "docs/examples/availability.py").read_text()
    code = text[text.index("with AvailabilityView") :].strip()
    assert code in (ROOT / "docs/availability-view.md").read_text()
    assert len(code.splitlines()) <= 15


def test_a_process_with_a_view_loads_neither_faust_nor_a_store() -> None:
    """Asked in a process of its own: this one has loaded more."""
    foreign = ("faust", "mode", "aiokafka", "rocksdict", "redis")
    code = (
        "import sys, state.views.availability.view;"
        f"print([name for name in {foreign} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
