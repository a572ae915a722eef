"""Clocks that jump or run slow: what they may decide about holds and sale windows."""

import pytest
from support.seats.section_commands import (
    START_MS,
    Partition,
    confirm,
    guarded_tick,
    hold,
    opened,
    tick,
)

from state.domain.reasons import Reason

HOUR = 3_600_000
MINUTE = 60_000


def guarded(**rules: int) -> Partition:
    """Return an open section of six seats whose owner has ticked."""
    partition = opened("......", hold_ms=10 * MINUTE, **rules)
    partition.send(guarded_tick(partition.now_ms))
    return partition


def test_c6_a_broker_clock_an_hour_ahead_closes_no_sale() -> None:
    partition = guarded(ends_ms=START_MS + 30 * MINUTE)
    partition.now_ms += HOUR
    (held,) = partition.send(hold("r1", 2))
    assert held.name == "SeatsHeld"
    assert held.deadlineMs == START_MS + 10 * MINUTE
    # Ticks of a worker whose clock is right do not help the broker's.
    (held,) = partition.send(guarded_tick(START_MS + 1_000), hold("r2", 2))
    assert held.name == "SeatsHeld"
    assert held.decidedAtMs == START_MS + 1_000


def test_c6_a_broker_clock_an_hour_ahead_opens_no_sale() -> None:
    partition = guarded(starts_ms=START_MS + 30 * MINUTE)
    partition.now_ms += HOUR
    (refused,) = partition.send(hold("r1", 2))
    assert refused.reason == Reason.NOT_OPEN


def test_c6_when_the_brokers_clock_is_put_right_everything_goes_on() -> None:
    partition = guarded(ends_ms=START_MS + 30 * MINUTE)
    partition.now_ms += HOUR
    partition.send(hold("r1", 2), guarded_tick(START_MS + 1_000))
    partition.now_ms = START_MS + 10 * MINUTE
    (lapsed,) = partition.send(guarded_tick(partition.now_ms))
    assert lapsed.cause == 2
    partition.now_ms = START_MS + 30 * MINUTE
    partition.send(guarded_tick(partition.now_ms))
    (refused,) = partition.send(hold("r2", 1))
    assert refused.reason == Reason.SALE_CLOSED


def test_f78_a_jump_pauses_lapses_until_the_ticks_have_come_as_far() -> None:
    partition = guarded()
    partition.send(hold("r1", 2))
    partition.now_ms += HOUR
    assert partition.send(guarded_tick(START_MS + 9 * MINUTE)) == []
    assert partition.send(hold("r1", 2))[0].deadlineMs == START_MS + 10 * MINUTE
    (lapsed,) = partition.send(guarded_tick(START_MS + 10 * MINUTE))
    assert lapsed.reservation == "r1"


def test_f76_a_timer_an_hour_fast_ends_no_hold_and_disarms_nothing() -> None:
    partition = guarded()
    partition.send(hold("r1", 2))
    partition.now_ms += MINUTE
    assert partition.send(guarded_tick(partition.now_ms + HOUR)) == []
    # The next owner's clock is right, and the broker's jumps: the fast tick is not remembered.
    partition.now_ms += HOUR
    assert partition.send(guarded_tick(START_MS + 2 * MINUTE)) == []


@pytest.mark.parametrize("slow_ms", [6_000, 2 * MINUTE, HOUR, 26 * HOUR])
def test_s5_the_ticks_of_a_slow_worker_strand_no_hold(slow_ms: int) -> None:
    partition = guarded()
    partition.send(hold("r1", 2))
    lapsed_after_ms = 0
    while partition.now_ms < START_MS + 12 * MINUTE and not lapsed_after_ms:
        partition.now_ms += 20_000
        if partition.send(guarded_tick(partition.now_ms - slow_ms)):
            lapsed_after_ms = partition.now_ms - START_MS
    assert 10 * MINUTE <= lapsed_after_ms <= 11 * MINUTE


def test_f75_two_timers_tick_as_one() -> None:
    one, two = guarded(), guarded()
    for partition in (one, two):
        partition.send(hold("r1", 2))
        partition.send(hold("r2", 2), confirm("r2"))
    for _ in range(30):
        for partition in (one, two):
            partition.now_ms += 21_000
            partition.send(guarded_tick(partition.now_ms))
        # The other instance's clock is a little behind.
        two.send(guarded_tick(two.now_ms - 3_000), guarded_tick(two.now_ms))
    ends = [(told.availableCount, told.heldCount) for told in (one.status(), two.status())]
    assert ends == [(4, 0), (4, 0)]
    assert one.decisions["LAPSED"] == two.decisions["LAPSED"] == 1


def test_r24_a_log_without_the_new_ticks_folds_as_it_did() -> None:
    """As version 1 decided: time is the highest append time, whatever the steps."""
    partition = opened("......", ends_ms=START_MS + 30 * MINUTE)
    partition.send(tick(START_MS))
    partition.now_ms += HOUR
    (refused,) = partition.send(hold("r1", 2))
    assert refused.reason == Reason.SALE_CLOSED
    assert refused.decidedAtMs == START_MS + HOUR
