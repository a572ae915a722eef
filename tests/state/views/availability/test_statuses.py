import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until
from support.records.status_records import (
    EVENT,
    MS,
    PARTITIONS,
    Fed,
    counts,
    partition_of_section,
    value_of,
    view_of,
)

from infra.stack.processes import wait_until
from state.domain.keys import partition_of, section_key
from state.domain.reasons import Reason
from state.views.availability.contents import Change
from state.views.availability.view import Demand, NotYet, TooStale
from state.views.following.ages import UNKNOWN_AGE_MS, boot_clock_ns

small = st.integers(0, 3)


def test_counts_of_a_producer_of_the_four_original_fields_refuse_by_free_seats_only() -> None:
    fed = Fed()
    fed.tell(counts(0, 10, largest=0))
    fed.heartbeat()
    assert fed.view.can_refuse(EVENT, "A", 8) is None
    assert fed.view.can_refuse(EVENT, "A", 11) is Reason.SOLD_OUT


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


def test_f80_a_cold_view_is_not_ready_and_refuses_nothing() -> None:
    fed = Fed()
    fed.tell(counts(1, 0))
    assert not fed.contents.is_complete()
    assert not fed.view.is_ready()
    assert fed.view.get(EVENT, "A") is None
    assert fed.view.can_refuse(EVENT, "A", 1) is None
    assert fed.view.staleness_ms() == UNKNOWN_AGE_MS


# --- look-ups and counters -------------------------------------------------------------------


def test_a_section_is_known_once_it_was_read_and_to_ask_that_is_no_look_up(fed: Fed) -> None:
    lookups, misses = fed.view.counters.lookups, fed.view.counters.misses
    assert fed.view.knows(EVENT, "A")
    assert not fed.view.knows(EVENT, "NOWHERE")
    assert not fed.view.knows(EVENT + 1, "A")
    fed.tell(counts(1, 4), "NEW")
    assert fed.view.knows(EVENT, "NEW")
    assert (fed.view.counters.lookups, fed.view.counters.misses) == (lookups, misses)


def test_look_ups_and_misses_are_counted(fed: Fed) -> None:
    fed.view.get(EVENT, "A")
    fed.view.get(EVENT, "Z")
    fed.view.get(99, "A")
    fed.view.sections(99)
    statistics = fed.view.statistics()
    assert (statistics.lookups, statistics.misses) == (4, 3)
    assert statistics.miss_share == 0.75


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


def test_a_blocked_caller_is_woken_by_its_version() -> None:
    fed = Fed(now_ms=boot_clock_ns() // MS)
    fed.heartbeat()
    got: list[int] = []

    def wait() -> None:
        answer = fed.view.wait(Demand(EVENT, "A", min_version=2), 30)
        got.append(-1 if answer is None else answer.version)

    thread = threading.Thread(target=wait)
    thread.start()
    assert wait_until(lambda: len(fed.view._waiters) == 1, 60)
    fed.tell(counts(1, 5))
    assert not got
    fed.tell(counts(2, 4))
    thread.join(timeout=60)
    assert got == [2]
    assert len(fed.view._waiters) == 0


async def somebody_waits(fed: Fed) -> None:
    assert await asyncio.to_thread(wait_until, lambda: len(fed.view._waiters) == 1, 60)


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


@pytest.mark.parametrize("woken_by", ["change", "heartbeat"])
def test_who_waits_for_several_sections_is_woken_by_any_and_leaves_no_waiter(
    woken_by: str,
) -> None:
    fed = Fed()
    fed.heartbeat()
    met = False

    async def scenario() -> bool:
        nonlocal met
        names = [(EVENT, "A"), (EVENT, "B")]
        waiting = asyncio.create_task(
            fed.view.wait_until_met(names, lambda: met, 30, by_age=woken_by == "heartbeat")
        )
        await until(lambda: fed.view._waiters)
        met = True
        if woken_by == "change":
            fed.tell(counts(1, 1), "B")
        else:
            fed.heartbeat()
        return await waiting

    assert asyncio.run(asyncio.wait_for(scenario(), 10))
    assert len(fed.view._waiters) == 0


def test_a_wait_ends_unmet_after_its_time() -> None:
    fed = Fed()
    fed.heartbeat()
    assert not asyncio.run(fed.view.wait_until_met([(EVENT, "A")], lambda: False, 0.01))
    assert len(fed.view._waiters) == 0


@given(st.integers(1, 40), st.integers(1, 40), st.integers(20, 400))
def test_c1_added_partitions_are_seen_by_where_the_records_lie(
    made_with: int, added: int, sections: int
) -> None:
    assert "partitions were added" in view_of(made_with, made_with + added, sections).misplaced()
    assert not view_of(made_with, made_with, sections).misplaced()


def test_c1_one_record_of_a_stranger_says_nothing_of_the_topic() -> None:
    fed = Fed()
    for number in range(8):
        fed.tell(counts(1, 5), f"S{number}")
    key = section_key(EVENT, "X")
    fed.feed((partition_of(key, 4) + 1) % 4, key, value_of(counts(1, 5), "X"))
    fed.heartbeat()
    assert not fed.view.misplaced()
