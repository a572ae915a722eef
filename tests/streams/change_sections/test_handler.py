"""Every rung of the ladder, one after another, over lists and a store in memory."""

import io
import random
from collections.abc import Callable
from dataclasses import replace

import fastavro
import pytest
from support.records.avro_values import blocked
from support.seats.section_commands import (
    CODECS,
    ELSEWHERE,
    EVENT,
    IDS,
    PARTITIONS,
    SKEW_MS,
    START_MS,
    A,
    B,
    Pair,
    Partition,
    block,
    confirm,
    extend,
    guarded_tick,
    hold,
    hold_chosen,
    open_section,
    opened,
    release,
    sale_window,
    tick,
    told,
    unblock,
)

from schemas.topics import SECTION_STATUS, subjects
from serdes.avro.schema_files import inlined, parsed
from serdes.registry.ids import RegisteredSchema
from serdes.wire import header_of
from state.domain.keys import PROGRESS_KEY, section_key
from state.domain.layout import TIME_MS_MAX, OrphanRule
from state.domain.reasons import Reason
from state.domain.reservation import EXTENSIONS_KEPT, ReleaseCause
from state.records.seat_codecs import SeatCodecs
from state.stores.partition_state import PartitionState
from streams.batch import Batch, NewerProducer, UnknownSchema
from streams.change_sections import change_sections, progress_of, refuse_poison

CANCELLED, LAPSED = ReleaseCause.CANCELLED, ReleaseCause.LAPSED
HOUR_MS = 3_600_000


# Holds.


def test_a_hold_gets_adjacent_seats_an_epoch_and_a_deadline() -> None:
    partition = opened("..|...\n......", hold_ms=60_000)
    (held,) = partition.send(hold("r1", 3, correlation="c"))
    assert (held.name, held.reservation) == ("SeatsHeld", "r1")
    assert held.seats == ((0, 2, 3),)
    assert (held.epoch, held.decidedAtMs, held.deadlineMs) == (1, START_MS, START_MS + 60_000)
    assert (held.version, held.outcomeId) == (2, b"section-commands:0:1:0")
    assert (held.userId, held.correlationId, held.section) == (b"ann", b"c", A.encode())


def test_chosen_seats_are_held_as_ranges() -> None:
    (held,) = opened("..|...").send(hold_chosen("r1", [(0, 3), (0, 1), (0, 2)]))
    assert held.seats == ((0, 1, 1), (0, 2, 2))


def test_b27_a_key_that_is_not_the_section_is_refused_and_not_stored() -> None:
    partition = opened("....")
    _, value = hold("r1", 1)
    for key in (section_key(EVENT, B), b"", b"tick"):
        (rejected,) = partition.send((key, value))
        assert (rejected.name, rejected.reason) == ("ReservationRejected", Reason.KEY_MISMATCH)
        assert rejected.version == 0
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


def test_b28_a_missing_key_is_refused_where_the_id_can_be_read() -> None:
    partition = opened("....")
    (rejected,) = partition.send((None, hold("r1", 1)[1]))
    assert rejected.reason is Reason.KEY_MISMATCH
    partition.send((None, b"rubbish"))
    assert partition.dead == ["BAD_WIRE_HEADER"]


@pytest.mark.parametrize(
    ("pair", "name"),
    [
        (hold("r1", 1, section=ELSEWHERE), "ReservationRejected"),
        (confirm("r1", section=ELSEWHERE), "CommandRefused"),
        (release("r1", section=ELSEWHERE), "CommandRefused"),
        (block([(0, 0, 1)], section=ELSEWHERE), "CommandRefused"),
        (open_section("..", section=ELSEWHERE), "CommandRefused"),
    ],
)
def test_b29_f07_a_section_of_another_partition_is_never_touched(pair: Pair, name: str) -> None:
    partition = opened("....")
    before = partition.stored()
    (refused,) = partition.send(pair)
    assert (refused.name, refused.reason) == (name, Reason.WRONG_PARTITION)
    after = partition.stored()
    assert {key: after[key] for key in after if key != b"p"} == {
        key: before[key] for key in before if key != b"p"
    }


def test_b30_an_unknown_section_is_refused_for_good_and_has_no_status() -> None:
    partition = Partition()
    (rejected,) = partition.send(hold("r1", 1))
    assert (rejected.reason, rejected.version) == (Reason.UNKNOWN_SECTION, 0)
    assert partition.statuses == []
    partition.send(open_section("...."))
    assert partition.send(hold("r1", 1))[0].reason is Reason.UNKNOWN_SECTION
    assert partition.send(block([(0, 0, 1)], section=B))[0].reason is Reason.UNKNOWN_SECTION


def test_holds_are_refused_before_and_after_the_sale() -> None:
    partition = opened("....", starts_ms=START_MS + 10, ends_ms=START_MS + 20)
    assert partition.send(hold("r1", 1))[0].reason is Reason.NOT_OPEN
    partition.now_ms += 10
    assert partition.send(hold("r2", 1))[0].name == "SeatsHeld"
    partition.now_ms += 10
    assert partition.send(hold("r3", 1))[0].reason is Reason.SALE_CLOSED


@pytest.mark.parametrize("count", [0, -1, 4, 2**31 - 1, 2**40])
def test_b51_a_count_outside_the_sections_limit_is_refused(count: int) -> None:
    (rejected,) = opened("......", limit=3).send(hold("r1", count))
    assert rejected.reason is Reason.BAD_COUNT


def test_b52_a_count_that_is_not_the_lists_length_is_refused() -> None:
    partition = opened("....")
    (rejected,) = partition.send(hold_chosen("r1", [(0, 0), (0, 1)], count=3))
    assert rejected.reason is Reason.BAD_COUNT
    (rejected,) = partition.send(hold_chosen("r2", [], count=1))
    assert rejected.reason is Reason.BAD_COUNT


@pytest.mark.parametrize("seat", [(0, 4), (0, -1), (1, 0), (-1, 0), (0, 2**31 - 1)])
def test_b54_a_seat_outside_the_section_is_named(seat: tuple[int, int]) -> None:
    (rejected,) = opened("....").send(hold_chosen("r1", [(0, 0), seat]))
    assert (rejected.reason, rejected.seat) == (Reason.UNKNOWN_SEAT, seat)


def test_refusals_of_the_allocation_are_told_with_the_seat_to_blame() -> None:
    partition = opened(".....", rule=OrphanRule.STRICT)
    partition.send(hold_chosen("r1", [(0, 0), (0, 1)]))
    outcomes = partition.send(
        hold("r2", 4),
        hold("r3", 2),
        hold_chosen("r4", [(0, 2), (0, 1)]),
        hold_chosen("r5", [(0, 3)]),
    )
    assert [(outcome.reason, outcome.seat) for outcome in outcomes] == [
        (Reason.SOLD_OUT, None),
        (Reason.ORPHAN_SEAT, None),
        (Reason.SEAT_TAKEN, (0, 1)),
        (Reason.ORPHAN_SEAT, None),
    ]
    assert opened(".|.").send(hold("r1", 2))[0].reason is Reason.NO_ADJACENT_SEATS


# The same id again.


@pytest.mark.parametrize("pair", [hold("r1", 2), hold_chosen("r1", [(0, 1)]), hold("r1", 9)])
def test_b38_the_same_request_gets_the_same_bytes_however_often(pair: Pair) -> None:
    partition = opened("....")
    first = partition.fold(partition.append(pair))
    again = partition.fold(partition.append(pair, pair)) + partition.fold(partition.append(pair))
    assert again == first * 3


def in_blocks(pair: Pair, seed: int) -> Pair:
    """Return a command as other encoders write it: its arrays in other blocks."""
    key, value = pair
    assert value is not None
    number = int.from_bytes(value[1:5], "big")
    (name,) = (subjects()[one] for one, each in IDS.id_by_subject.items() if each == number)
    fields = fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed(name), None)
    return key, value[:5] + blocked(inlined(name), fields, random.Random(seed))


@pytest.mark.parametrize("first", [0, 1])
def test_b1_a_command_is_repeated_by_its_values_in_whatever_blocks(first: int) -> None:
    partition = opened("....")
    forms = [hold_chosen("r1", [(0, 0), (0, 2)])]
    forms += [in_blocks(forms[0], seed) for seed in range(8)]
    assert len(set(forms)) > 3
    outcomes = [partition.send(form) for form in forms[first:] + forms[:first]]
    assert outcomes == [outcomes[0]] * len(forms)
    assert outcomes[0][0].name == "SeatsHeld"
    other = in_blocks(hold_chosen("r1", [(0, 0), (0, 3)]), first)
    assert partition.send(other)[0].reason is Reason.CONFLICT
    assert partition.dead == []


@pytest.mark.parametrize("seed", range(4))
def test_b1_a_plan_is_opened_again_in_whatever_blocks(seed: int) -> None:
    plan = open_section("...|.\n...", blocked=[(0, 1, 2)])
    partition = Partition()
    assert partition.send(in_blocks(plan, seed))[0].name == "SectionOpened"
    assert partition.send(plan)[0].name == "SectionOpened"
    assert partition.send(in_blocks(plan, seed + 1))[0].name == "SectionOpened"


def test_b38_twice_in_one_batch_is_decided_once() -> None:
    partition = opened("....")
    first, second = partition.fold(partition.append(hold("r1", 2), hold("r1", 2)))
    assert first == second
    assert (partition.status().availableCount, partition.status().version) == (2, 2)


def test_a_new_correlation_id_does_not_make_another_request() -> None:
    partition = opened("....")
    (held,) = partition.send(hold("r1", 2, correlation="a"))
    assert partition.send(hold("r1", 2, correlation="b")) == [held]


@pytest.mark.parametrize(
    "other",
    [
        hold("r1", 3),
        hold("r1", 2, user="bob"),
        hold("r1", 2, section=B),
        hold_chosen("r1", [(0, 0), (0, 1)]),
    ],
)
def test_b39_f10_the_same_id_with_another_request_conflicts(other: Pair) -> None:
    partition = opened("....")
    (held,) = partition.send(hold("r1", 2))
    reservation = partition.stored()[b"rr1"]
    (refused,) = partition.send(other)
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.CONFLICT)
    assert (refused.outcomeId, partition.stored()[b"rr1"]) == (
        b"section-commands:0:2:0",
        reservation,
    )
    # Nothing of the first request leaks into the refusal of another's.
    assert set(refused.fields) == {
        *("reservationId", "userId", "correlationId", "section", "eventId", "request"),
        *("outcomeId", "version", "decidedAtMs", "reason", "seat"),
    }
    assert partition.send(hold("r1", 2)) == [held]


# What becomes of a reservation.


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


# Deadlines.


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


# Sections.


def test_b32_opening_again_with_the_same_content_changes_nothing() -> None:
    partition = Partition()
    (first,) = partition.send(open_section("...|.\n...", blocked=[(0, 1, 2)]))
    assert (first.name, first.capacity, first.blockedCount, first.version) == (
        "SectionOpened",
        7,
        2,
        1,
    )
    partition.send(hold("r1", 2))
    (again,) = partition.send(open_section("...|.\n...", blocked=[(0, 1, 2)], user="bob"))
    assert (again.name, again.capacity, again.blockedCount) == ("SectionOpened", 7, 2)
    assert (partition.status().availableCount, partition.status().version) == (3, 2)
    (refused,) = partition.send(open_section("...|.\n...."))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.CONFLICT)


def test_a_plan_that_does_not_fit_opens_nothing() -> None:
    partition = Partition()
    assert partition.send(open_section("...", limit=17))[0].reason is Reason.BAD_LAYOUT
    assert partition.send(open_section("...", blocked=[(0, 2, 2)]))[0].reason is Reason.BAD_LAYOUT
    assert partition.send(hold("r1", 1))[0].reason is Reason.UNKNOWN_SECTION
    assert partition.statuses == []


def test_a_section_whose_record_would_be_too_large_is_not_opened() -> None:
    small = change_sections(CODECS, state_bytes_max=200)
    partition = Partition(handler=small)
    (refused,) = partition.send(open_section("." * 1000 + "\n" + "." * 1000))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.STATE_TOO_LARGE)
    assert list(partition.stored()) == [b"p"]
    assert partition.send(open_section("." * 1000))[0].name == "SectionOpened"


def test_blocked_seats_are_out_of_sale_until_they_are_unblocked() -> None:
    partition = opened("....\n....", blocked=[(0, 0, 1)])
    (blocked,) = partition.send(block([(0, 2, 2), (1, 0, 1)]))
    assert (blocked.name, blocked.seats) == ("SeatsBlocked", ((0, 2, 2), (1, 0, 1)))
    assert (blocked.version, partition.status().availableCount) == (2, 4)
    assert partition.send(hold_chosen("r1", [(0, 2)]))[0].reason is Reason.SEAT_TAKEN
    (unblocked,) = partition.send(unblock([(0, 0, 1), (0, 3, 1)]))
    assert (unblocked.name, unblocked.version) == ("SeatsUnblocked", 3)
    assert partition.status().availableCount == 6
    assert partition.send(hold_chosen("r2", [(0, 0), (0, 3)]))[0].name == "SeatsHeld"


@pytest.mark.parametrize(
    ("pair", "reason", "seat"),
    [
        (block([(0, 3, 2)]), Reason.UNKNOWN_SEAT, (0, 4)),
        (block([(1, 0, 1)]), Reason.UNKNOWN_SEAT, (1, 0)),
        (block([(0, 1, 1), (0, 1, 1)]), Reason.UNKNOWN_SEAT, (0, 1)),
        (block([(0, 0, 2**31 - 1)]), Reason.UNKNOWN_SEAT, (0, 4)),
        (block([]), Reason.BAD_COUNT, None),
        (block([(0, 1, 0)]), Reason.BAD_COUNT, None),
        (block([(0, 1, 2)]), Reason.SEAT_TAKEN, (0, 2)),
        (unblock([(0, 0, 2)]), Reason.NOT_BLOCKED, (0, 1)),
        (unblock([(0, 2, 1)]), Reason.NOT_BLOCKED, (0, 2)),
    ],
)
def test_blocking_is_all_or_nothing_and_names_the_first_seat(
    pair: Pair, reason: Reason, seat: tuple[int, int] | None
) -> None:
    partition = opened("....", blocked=[(0, 0, 1)])
    partition.send(hold_chosen("r1", [(0, 2)]))
    (refused,) = partition.send(pair)
    assert (refused.name, refused.reason, refused.seat) == ("CommandRefused", reason, seat)
    assert (partition.status().availableCount, partition.status().version) == (2, 2)


# The sale window.


def test_a_hold_outside_a_changed_window_is_refused_and_within_it_is_not() -> None:
    partition = opened("....")
    starts_ms, ends_ms = START_MS + 1_000, START_MS + 5_000
    (changed,) = partition.send(sale_window(starts_ms, ends_ms))
    assert (changed.name, changed.version, changed.decidedAtMs) == (
        "SaleWindowChanged",
        2,
        START_MS,
    )
    assert (changed.saleStartsMs, changed.saleEndsMs) == (starts_ms, ends_ms)
    assert (partition.status().version, partition.status().availableCount) == (2, 4)
    told = []
    for number, now_ms in enumerate((starts_ms - 1, starts_ms, ends_ms - 1, ends_ms)):
        partition.now_ms = now_ms
        for pair in (hold(f"b{number}", 1), hold_chosen(f"c{number}", [(0, 1 + number)])):
            [outcome] = partition.send(pair)
            told.append(outcome.fields.get("reason", outcome.name))
    assert told == [Reason.NOT_OPEN] * 2 + ["SeatsHeld"] * 4 + [Reason.SALE_CLOSED] * 2


def test_what_is_held_can_be_sold_extended_and_given_back_after_the_end() -> None:
    partition = opened("......", hold_ms=60_000, max_hold_ms=90_000)
    partition.send(hold("r1", 1), hold("r2", 1), hold("r3", 1), hold("r4", 1))
    partition.now_ms += 10
    # Closed in the middle of a batch, at the time of the close itself.
    outcomes = partition.send(
        sale_window(0, partition.now_ms),
        hold("r5", 1),
        confirm("r1"),
        release("r2"),
        extend("r3"),
        hold("r4", 1),
    )
    assert [outcome.name for outcome in outcomes] == [
        "SaleWindowChanged",
        "ReservationRejected",
        "ReservationConfirmed",
        "ReservationReleased",
        "HoldExtended",
        "SeatsHeld",
    ]
    assert outcomes[1].reason is Reason.SALE_CLOSED
    # 60 s after the holds, and 5 ms before the end of the one that was extended.
    lapsed = partition.pass_ms(59_995)
    assert [(one.reservation, one.name) for one in lapsed] == [("r4", "ReservationReleased")]
    # Money after the lapse still buys the seats: the buyer was in time for the sale.
    (bought,) = partition.send(confirm("r4"))
    assert (bought.name, bought.reacquired) == ("ReservationConfirmed", True)


def test_the_window_that_a_section_has_changes_nothing() -> None:
    partition = opened("....")
    window = sale_window(START_MS, START_MS + 9_000)
    first, again = partition.send(window, sale_window(START_MS, START_MS + 9_000, user="bob"))
    assert (first.version, again.version) == (2, 2)
    assert (again.name, again.userId) == ("SaleWindowChanged", b"bob")
    before = partition.stored()
    partition.forget()
    (later,) = partition.send(window)
    assert later.version == 2
    layout = section_key(EVENT, A)
    assert partition.stored()[b"l" + layout] == before[b"l" + layout]
    (unbounded,) = partition.send(sale_window(0, 0))
    assert unbounded.version == 3


def test_a_closed_sale_opens_again_and_a_restart_knows_the_window() -> None:
    partition = opened("....")
    partition.send(sale_window(0, START_MS))
    partition.forget()
    assert partition.send(hold("r1", 1))[0].reason is Reason.SALE_CLOSED
    partition.send(sale_window(0, START_MS + 1))
    partition.forget()
    assert partition.send(hold("r2", 1))[0].name == "SeatsHeld"
    # A refusal stands: whoever was too late asks under a new id.
    assert partition.send(hold("r1", 1))[0].reason is Reason.SALE_CLOSED


def test_a_changed_window_is_what_opening_again_has_to_say() -> None:
    partition = opened("....", blocked=[(0, 0, 1)])
    partition.send(sale_window(0, START_MS + 5_000))
    (former,) = partition.send(open_section("....", blocked=[(0, 0, 1)]))
    assert (former.name, former.reason) == ("CommandRefused", Reason.CONFLICT)
    (present,) = partition.send(
        open_section("....", blocked=[(0, 0, 1)], ends_ms=START_MS + 5_000)
    )
    assert (present.name, present.version) == ("SectionOpened", 2)


@pytest.mark.parametrize(
    ("starts_ms", "ends_ms"),
    [(-1, 0), (0, -1), (5, 5), (6, 5), (TIME_MS_MAX + 1, 0), (0, TIME_MS_MAX + 1), (0, 2**63 - 1)],
)
def test_b59_a_window_that_is_none_is_refused_and_the_former_one_stands(
    starts_ms: int, ends_ms: int
) -> None:
    partition = opened("....")
    (refused,) = partition.send(sale_window(starts_ms, ends_ms))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.BAD_LAYOUT)
    assert partition.status().version == 1
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


def test_a_window_of_no_section_or_under_a_wrong_key_changes_nothing() -> None:
    partition = opened("....")
    assert partition.send(sale_window(0, 1, section=B))[0].reason is Reason.UNKNOWN_SECTION
    _, value = sale_window(0, 1)
    assert partition.send((section_key(EVENT, B), value))[0].reason is Reason.KEY_MISMATCH
    elsewhere = sale_window(0, 1, section=ELSEWHERE)
    assert partition.send(elsewhere)[0].reason is Reason.WRONG_PARTITION
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


# Records that are not commands.


def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_next_is_decided() -> None:
    partition = opened("....")
    key, value = hold("r1", 1)
    assert value is not None
    outcomes = partition.send((key, value[:-1]), (key, value + b"x"), (key, b""), (key, value))
    assert partition.dead == ["BAD_BODY", "BAD_BODY", "EMPTY_VALUE"]
    assert [outcome.name for outcome in outcomes] == ["SeatsHeld"]
    partition.send((key, value[:5] + b"\0" * 70_000))
    assert partition.dead[3:] == ["TOO_LARGE"]


def test_b02_a_tombstone_has_no_effect_and_is_counted() -> None:
    partition = opened("....")
    assert partition.send((hold("r1", 1)[0], None)) == []
    assert (partition.dead, partition.decisions["TOMBSTONE"]) == ([], 1)


def test_an_unknown_schema_is_asked_for_before_anything_is_decided() -> None:
    partition = opened("....")
    before = partition.stored()
    records = partition.append(hold("r1", 1), (b"k", b"\0\0\0\xff\xff"))
    with pytest.raises(UnknownSchema):
        partition.run(records)
    assert partition.stored() == before


def test_b2_all_unknown_ids_of_a_batch_are_named_at_once() -> None:
    partition = opened("....")
    unknown = [(b"k", header_of(one) + b"?") for one in (7_001, 7_002, 7_001, 7_003)]
    never = [(b"k", header_of(one) + b"?") for one in (0, 1 << 31, (1 << 32) - 1)]
    with pytest.raises(UnknownSchema) as told:
        partition.run(partition.append(*never, *unknown))
    assert told.value.schema_ids == {7_001, 7_002, 7_003}
    assert str(told.value) in {f"schema id {one} and 2 more" for one in (7_001, 7_002, 7_003)}


def test_b2_nobody_is_asked_for_an_id_that_no_registry_gives_out() -> None:
    partition = opened("....")
    for schema_id in (0, 1 << 31, (1 << 32) - 1):
        partition.send((b"k", header_of(schema_id) + b"?"))
    assert partition.dead == ["UNKNOWN_SCHEMA"] * 3


def test_an_id_that_the_registry_does_not_know_either_is_a_dead_letter() -> None:
    partition = opened("....")
    (record,) = partition.append((b"k", b"\0\0\0\xff\xff"))
    batch = Batch("section-commands", 0, PARTITIONS, [record], frozenset({0xFFFF}))
    effects = partition.handler(batch, partition.state, 0)
    assert [letter.reason for letter in effects.dead_letters] == ["UNKNOWN_SCHEMA"]


def test_b23_a_command_that_only_newer_code_knows_stops_the_partition() -> None:
    codecs = SeatCodecs.of(IDS)
    subject = "section-commands-io.seatstream.commands.SwapSeats"
    codecs.commands.learn(999, RegisteredSchema((subject,), "{}"))
    partition = Partition(handler=change_sections(codecs))
    with pytest.raises(NewerProducer):
        partition.send((b"k", header_of(999) + b"x"))


@pytest.mark.parametrize("version", [3, 12])
def test_f29_f88_rules_that_only_newer_code_has_stop_the_partition(version: int) -> None:
    """A worker of the former release, in one group with newer ones: it decides nothing."""
    partition = opened("....")
    partition.send(hold("r1", 2))
    before = partition.stored()
    ahead = partition.append(hold("r2", 1), tick(START_MS, b"tick-%d" % version), hold("r3", 1))
    with pytest.raises(NewerProducer, match=f"version {version} of the rules"):
        partition.fold(ahead)
    assert partition.stored() == before
    # The state of a newer worker, taken over.
    state = PartitionState(partition.store)
    progress = CODECS.read_progress(before[PROGRESS_KEY], 0)
    state.put(PROGRESS_KEY, CODECS.progress(*progress[:3], version))
    state.write(state.seal(), None)
    partition.forget()
    with pytest.raises(NewerProducer, match=f"version {version} of the rules"):
        partition.fold(ahead[:1])


@pytest.mark.parametrize(
    "key", [b"tick-0", b"tick-02", b"tick-x", b"tick-3 ", b"tick-" + b"9" * 99]
)
def test_f29_a_strangers_tick_names_no_version(key: bytes) -> None:
    partition = opened("....")
    partition.send(tick(START_MS, key))
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


def test_b25_too_many_headers_are_a_dead_letter_and_some_are_none() -> None:
    partition = opened("....")
    (record,) = partition.append(hold("r1", 1))
    flooded = replace(record, headers=(("h", b""),) * 1_000)
    assert partition.fold([flooded]) == []
    assert partition.dead == ["BAD_RECORD_HEADERS"]
    (record,) = partition.append(hold("r2", 1))
    traced = replace(record, headers=(("traceparent", b"00-1-2-01"),))
    assert [told(value).name for value in partition.fold([traced])] == ["SeatsHeld"]


def test_a_record_that_no_worker_survives_is_refused_without_touching_a_seat() -> None:
    partition = opened("....")
    (record,) = partition.append(hold("r1", 1))
    before = partition.stored()
    batch = Batch("section-commands", 0, PARTITIONS, [record])
    effects = refuse_poison(CODECS)(batch, partition.state, record, 0)
    (refusal,) = effects.outgoing["reservation-outcomes"]
    assert told(refusal[1]).reason is Reason.INTERNAL
    partition.state.write(partition.state.seal(), None)
    partition.state.release()
    after = partition.stored()
    assert {key for key in after if after[key] != before.get(key)} == {b"p"}
    assert progress_of(CODECS)(partition.state) == (2, START_MS)
    assert progress_of(CODECS)(Partition().state) == (0, 0)


# Status.


def test_one_status_for_each_touched_section_and_batch_refusals_included() -> None:
    partition = opened("....")
    partition.send(open_section("...", section=B))
    partition.statuses.clear()
    partition.send(hold("r1", 2), hold("r2", 1, section=B), hold("r3", 9), hold("r4", 1))
    assert len(partition.statuses) == 2
    status = partition.status()
    assert (status.availableCount, status.heldCount, status.largestBlock) == (1, 3, 1)
    assert (status.version, status.timestamp) == (3, START_MS)
    partition.statuses.clear()
    partition.now_ms += 5
    partition.send(hold("r5", 9))
    assert (partition.status().version, partition.status().timestamp) == (3, START_MS + 5)


def test_a_status_of_5000_seats_takes_at_most_50_bytes_and_its_state_a_bit_a_seat() -> None:
    partition = opened("\n".join(["." * 50] * 100))
    partition.send(*(hold(f"r{number}", 4) for number in range(300)))
    key = section_key(EVENT, A)
    assert len(partition.last_statuses()[key]) <= 50
    assert len(partition.stored()[b"s" + key]) <= 100 * 7 + 128


def test_the_status_topic_is_keyed_by_section() -> None:
    partition = opened("....")
    assert [key for key, _ in partition.statuses] == [section_key(EVENT, A)]
    assert SECTION_STATUS.cleanup == "compact"
