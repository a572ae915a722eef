"""Sections, blocked seats and sale windows."""

from typing import Any

import pytest
from support.seats.section_commands import (
    CODECS,
    ELSEWHERE,
    EVENT,
    START_MS,
    A,
    B,
    Pair,
    Partition,
    block,
    confirm,
    extend,
    hold,
    hold_chosen,
    open_section,
    opened,
    release,
    sale_window,
    unblock,
)

from state.domain.keys import LAYOUT, section_key
from state.domain.layout import TIME_MS_MAX
from state.domain.reasons import Reason
from streams.change_sections import change_sections


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


PRICES: dict[str, Any] = {"currency": "EUR", "amounts": (4_500, 0)}


@pytest.mark.parametrize(
    "other",
    [{}, {"currency": "USD", "amounts": (4_500, 0)}, {"currency": "EUR", "amounts": (4_501, 0)}],
)
def test_prices_are_part_of_the_same_content_and_nobody_changes_them(
    other: dict[str, Any],
) -> None:
    partition = opened("....\n....", **PRICES)
    layout = partition.stored()[LAYOUT + section_key(EVENT, A)]
    assert partition.send(open_section("....\n....", **PRICES))[0].name == "SectionOpened"
    (refused,) = partition.send(open_section("....\n....", **other))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.CONFLICT)
    assert partition.stored()[LAYOUT + section_key(EVENT, A)] == layout
    assert partition.send(hold("r1", 2))[0].amount == 9_000


@pytest.mark.parametrize(
    "prices",
    [
        {"currency": "EUR"},
        {"amounts": (1,)},
        {"currency": "eur", "amounts": (1,)},
        {"currency": "EUR", "amounts": (-1,)},
        {"currency": "EUR", "amounts": (1 << 62,)},
    ],
)
def test_b58_a_section_with_prices_that_are_none_is_not_opened(prices: dict[str, Any]) -> None:
    partition = Partition()
    assert partition.send(open_section("....", **prices))[0].reason is Reason.BAD_LAYOUT
    assert partition.send(hold("r1", 1))[0].reason is Reason.UNKNOWN_SECTION


def test_a_changed_sale_window_leaves_the_prices() -> None:
    partition = opened("....", **PRICES)
    partition.send(sale_window(0, START_MS + 60_000))
    partition.forget()
    assert partition.send(hold("r1", 2))[0].amount == 9_000


def test_a_plan_that_does_not_fit_opens_nothing() -> None:
    partition = Partition()
    assert partition.send(open_section("...", limit=17))[0].reason is Reason.BAD_LAYOUT
    assert partition.send(open_section("...", blocked=[(0, 2, 2)]))[0].reason is Reason.BAD_LAYOUT
    assert partition.send(hold("r1", 1))[0].reason is Reason.UNKNOWN_SECTION
    assert partition.statuses == []


def test_a_section_whose_record_would_be_too_large_is_not_opened() -> None:
    small = change_sections(CODECS, state_bytes_max=300)
    partition = Partition(handler=small)
    (refused,) = partition.send(open_section("." * 1000 + "\n" + "." * 1000))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.STATE_TOO_LARGE)
    assert list(partition.stored()) == [b"p"]
    assert partition.send(open_section("." * 1000))[0].name == "SectionOpened"


def test_s3_8_the_largest_section_that_is_opened_can_be_read_again() -> None:
    # Of 65,536 bytes 128 are kept for all but a bit for each seat; a row takes whole bytes.
    largest = 8 * (65_536 - 128)
    rows, rest = divmod(largest, 1000)
    text = "\n".join("." * 1000 for _ in range(rows))
    partition = Partition()
    (refused,) = partition.send(open_section(f"{text}\n{'.' * (rest + 1)}"))
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.STATE_TOO_LARGE)
    assert partition.send(open_section(f"{text}\n{'.' * rest}"))[0].name == "SectionOpened"
    partition.forget()
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


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
