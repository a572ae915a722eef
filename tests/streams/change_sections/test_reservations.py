"""What becomes of a reservation, and when it lapses."""

from collections.abc import Callable

import pytest
from support.seats.section_commands import (
    SKEW_MS,
    START_MS,
    B,
    Pair,
    Partition,
    confirm,
    extend,
    guarded_tick,
    hold,
    hold_chosen,
    open_section,
    opened,
    release,
    tick,
)

from state.domain.reasons import Reason
from state.domain.reservation import EXTENSIONS_KEPT, ReleaseCause

CANCELLED, LAPSED = ReleaseCause.CANCELLED, ReleaseCause.LAPSED
HOUR_MS = 3_600_000


def test_a_confirmed_hold_is_sold_and_never_lapses() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    (sold,) = partition.send(confirm("r1"))
    assert (sold.name, sold.seats, sold.epoch) == ("ReservationConfirmed", ((0, 0, 2),), 1)
    assert (sold.reacquired, sold.version) == (False, 3)
    assert partition.send(confirm("r1", correlation="again")) == [sold]
    assert partition.pass_ms(HOUR_MS) == []
    assert (partition.status().heldCount, partition.status().availableCount) == (0, 2)


def test_a_released_hold_gives_its_seats_back_once() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    (released,) = partition.send(release("r1", 1))
    assert (released.name, released.cause, released.seats) == (
        "ReservationReleased",
        CANCELLED,
        ((0, 0, 2),),
    )
    assert partition.send(release("r1"), release("r1", 1)) == [released, released]
    assert partition.status().availableCount == 4
    assert partition.send(extend("r1"))[0].reason is Reason.NOT_HELD
    assert partition.send(confirm("r1"))[0].reason is Reason.REFUND_DUE
    assert partition.send(hold("r1", 2))[0].name == "SeatsHeld"


def test_b41_f04_a_cancellation_before_its_hold_stands() -> None:
    partition = opened("....")
    (released,) = partition.send(release("r1", correlation="c"))
    assert (released.name, released.cause) == ("ReservationReleased", CANCELLED)
    assert (released.seats, released.epoch, released.version) == ((), 0, 1)
    for _ in range(2):
        (rejected,) = partition.send(hold("r1", 2))
        assert (rejected.name, rejected.reason) == ("ReservationRejected", Reason.CANCELLED)
    assert partition.send(hold("r1", 2, user="bob"))[0].reason is Reason.CONFLICT
    assert partition.send(release("r1")) == [released]
    assert partition.status().availableCount == 4


def test_f04_a_cancellation_may_come_before_its_section() -> None:
    (released,) = Partition().send(release("r1"))
    assert (released.name, released.version) == ("ReservationReleased", 0)


@pytest.mark.parametrize("pair", [confirm, release, extend])
def test_b42_another_user_is_forbidden(pair: object) -> None:
    assert callable(pair)
    partition = opened("....")
    partition.send(hold("r1", 2))
    (refused,) = partition.send(pair("r1", 1, user="bob"))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.FORBIDDEN)
    assert partition.send(confirm("r1"))[0].name == "ReservationConfirmed"


def test_b43_what_is_sold_is_neither_released_nor_extended() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2), confirm("r1"))
    for pair in (release("r1", 1), release("r1"), extend("r1")):
        assert partition.send(pair)[0].reason is Reason.ALREADY_SOLD


def test_a_stale_epoch_is_refused() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    for pair in (confirm("r1", 2), confirm("r1", 0), release("r1", 2), extend("r1", 0)):
        assert partition.send(pair)[0].reason is Reason.STALE_EPOCH
    assert partition.status().version == 2


def test_what_was_never_held_cannot_be_confirmed_released_or_extended() -> None:
    partition = opened("..")
    partition.send(hold("r1", 3))
    for pair in (confirm("r1"), confirm("r1", 0), release("r1"), extend("r1")):
        assert partition.send(pair)[0].reason is Reason.NOT_HELD
    for pair in (confirm("r2"), extend("r2")):
        assert partition.send(pair)[0].reason is Reason.UNKNOWN_RESERVATION


def test_a_reservation_of_another_section_is_not_touched() -> None:
    partition = opened("....")
    partition.send(open_section("....", section=B), hold("r1", 1))
    for pair in (confirm("r1", section=B), release("r1", section=B)):
        assert partition.send(pair)[0].reason is Reason.CONFLICT


def test_a_hold_lapses_once_when_both_clocks_have_passed_its_deadline() -> None:
    partition = opened("....", hold_ms=60_000)
    partition.send(hold("r1", 2), hold("r2", 2))
    assert partition.pass_ms(59_999) == []
    first, second = partition.pass_ms(1)
    assert [(outcome.name, outcome.reservation) for outcome in (first, second)] == [
        ("ReservationReleased", "r1"),
        ("ReservationReleased", "r2"),
    ]
    assert (first.cause, first.seats, first.version) == (LAPSED, ((0, 0, 2),), 4)
    assert [first.outcomeId, second.outcomeId] == [
        b"section-commands:0:4:1",
        b"section-commands:0:4:2",
    ]
    assert partition.pass_ms(HOUR_MS) == []
    assert (partition.status().availableCount, partition.status().version) == (4, 5)
    assert partition.send(release("r1", 1)) == [first]


def test_b44_a_tick_before_the_deadline_changes_nothing_but_time() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    before = partition.stored()
    assert partition.pass_ms(599_999) == []
    after = partition.stored()
    assert {key for key in after if before[key] != after[key]} == {b"p"}
    assert partition.decisions["TICK"] == 1


def test_f76_a_timer_ahead_of_the_broker_lapses_nothing() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    assert partition.send(tick(partition.now_ms + HOUR_MS)) == []
    partition.now_ms += 1
    assert partition.send(tick(2**62)) == []
    assert partition.send(confirm("r1"))[0].name == "ReservationConfirmed"


def test_a_broker_ahead_of_the_timer_lapses_nothing_beyond_the_skew() -> None:
    partition = opened("....", hold_ms=60_000)
    partition.send(hold("r1", 2), tick(partition.now_ms + 60_000 - SKEW_MS - 1))
    partition.now_ms += HOUR_MS
    assert [outcome.name for outcome in partition.send(hold("r2", 1))] == ["SeatsHeld"]
    assert [outcome.reservation for outcome in partition.send(tick(START_MS + 55_000))] == ["r1"]


def test_lapses_come_before_the_command_whose_arrival_decides_them() -> None:
    partition = opened("..", hold_ms=60_000)
    partition.send(hold("r1", 2), tick(START_MS + 60_000))
    partition.now_ms += 60_000
    released, held = partition.send(hold("r2", 2))
    assert (released.reservation, released.outcomeId) == ("r1", b"section-commands:0:3:1")
    assert (held.reservation, held.outcomeId) == ("r2", b"section-commands:0:3:0")


def test_a_payment_after_the_lapse_takes_the_same_seats_again() -> None:
    partition = opened("....", hold_ms=60_000)
    partition.send(hold("r1", 2))
    partition.pass_ms(60_000)
    (sold,) = partition.send(confirm("r1", 1))
    assert (sold.name, sold.seats) == ("ReservationConfirmed", ((0, 0, 2),))
    assert (sold.reacquired, sold.epoch) == (True, 2)
    # The confirm of the lapsed epoch, again, is the one that took the seats back.
    assert partition.send(confirm("r1", 1), confirm("r1", 2)) == [sold, sold]
    assert partition.send(confirm("r1", 3))[0].reason is Reason.STALE_EPOCH
    assert (partition.status().availableCount, partition.status().heldCount) == (2, 0)


def test_a_payment_after_the_lapse_never_gets_other_seats() -> None:
    partition = opened("....", hold_ms=60_000)
    partition.send(hold("r1", 2))
    partition.pass_ms(60_000)
    partition.send(hold_chosen("r2", [(0, 1)]))
    (refused,) = partition.send(confirm("r1", 1))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.REFUND_DUE)
    assert partition.status().availableCount == 3


def test_an_extension_runs_a_full_hold_from_now_up_to_the_cap() -> None:
    partition = opened("....", hold_ms=60_000, max_hold_ms=100_000)
    partition.send(hold("r1", 2))
    partition.now_ms += 30_000
    (extended,) = partition.send(extend("r1", correlation="c1"))
    assert (extended.name, extended.deadlineMs) == ("HoldExtended", START_MS + 90_000)
    # The section did not change.
    assert (extended.version, extended.epoch) == (2, 1)
    partition.now_ms += 5
    assert partition.send(extend("r1", correlation="c1")) == [extended]
    partition.now_ms = START_MS + 60_000
    (extended,) = partition.send(tick(partition.now_ms), extend("r1", correlation="c2"))
    assert extended.deadlineMs == START_MS + 100_000
    assert partition.send(extend("r1", correlation="c3"))[0].reason is Reason.EXTENSION_CAP
    assert partition.pass_ms(39_999) == []
    assert [lapsed.cause for lapsed in partition.pass_ms(1)] == [LAPSED]


@pytest.mark.parametrize(("ticked", "kept"), [(guarded_tick, EXTENSIONS_KEPT), (tick, 1)])
def test_f3_a_late_repeat_of_an_earlier_extension_extends_nothing_again(
    ticked: Callable[[int], Pair], kept: int
) -> None:
    """Logs from before the newer ticks are decided as they were, by the last one alone."""
    partition = opened("....", hold_ms=60_000, max_hold_ms=1_000_000)
    partition.send(hold("r1", 2), ticked(START_MS))
    told = []
    for number in range(EXTENSIONS_KEPT + 3):
        partition.now_ms += 1_000
        told += partition.send(extend("r1", correlation=f"c{number}"))
    for number in (*range(len(told) - kept, len(told)), len(told) - 1):
        partition.now_ms += 1_000
        assert partition.send(extend("r1", correlation=f"c{number}")) == [told[number]]
    (again,) = partition.send(extend("r1", correlation=f"c{len(told) - kept - 1}"))
    assert again.deadlineMs == partition.now_ms + 60_000
    # What a record holds is bounded, and its deadline is that of the newest one.
    partition.send(ticked(partition.now_ms + 59_999))
    assert partition.status().availableCount == 2
