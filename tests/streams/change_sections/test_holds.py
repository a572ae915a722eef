"""Rungs of holds, and the same id again, over lists and a store in memory."""

import io
import random
from typing import Any

import fastavro
import pytest
from hypothesis import given
from support.records.avro_values import blocked
from support.seats.section_commands import (
    IDS,
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
    hold_in_pieces,
    logs,
    open_section,
    opened,
    release,
    told,
)

from schemas.topics import subjects
from serdes.avro.schema_files import inlined, parsed
from state.domain.keys import LAYOUT, RESERVATION
from state.domain.layout import OrphanRule
from state.domain.reasons import Reason
from streams.driver import PipedRecord


def test_a_hold_gets_adjacent_seats_an_epoch_and_a_deadline() -> None:
    partition = opened("..|...\n......", hold_ms=60_000)
    (held,) = partition.send(hold("r1", 3, correlation="c"))
    assert (held.name, held.reservation) == ("SeatsHeld", "r1")
    assert held.seats == ((0, 2, 3),)
    assert (held.epoch, held.decidedAtMs, held.deadlineMs) == (1, START_MS, START_MS + 60_000)
    assert (held.version, held.outcomeId) == (2, b"section-commands:0:1:0")
    assert (held.userId, held.correlationId, held.section) == (b"ann", b"c", A.encode())


def test_d12_a_party_that_may_be_parted_is_held_in_pieces_as_one() -> None:
    partition = opened("..|..\n....", currency="EUR", amounts=(100, 1))
    (held,) = partition.send(hold_in_pieces("r1", 6))
    assert (held.name, held.seats) == ("SeatsHeld", ((0, 0, 2), (1, 0, 4)))
    assert (held.epoch, held.amount) == (1, 204)
    # The same request gets the same answer, and gives all of it back.
    assert partition.send(hold_in_pieces("r1", 6)) == [held]
    (conflict,) = partition.send(hold_in_pieces("r1", 5))
    assert (conflict.name, conflict.reason) == ("CommandRefused", Reason.CONFLICT)
    (refused,) = partition.send(hold_in_pieces("r2", 3))
    assert (refused.name, refused.reason) == ("ReservationRejected", Reason.SOLD_OUT)
    partition.send(release("r1"))
    (whole,) = partition.send(hold_in_pieces("r3", 8))
    assert whole.seats == ((0, 0, 2), (0, 2, 2), (1, 0, 4))
    # As many as one hold may have, and one more.
    for count in (0, 9):
        (bad,) = partition.send(hold_in_pieces(f"r{count}x", count))
        assert bad.reason is Reason.BAD_COUNT


def test_d12_as_many_as_can_be_had_are_one_hold_of_so_many() -> None:
    partition = opened("...\n..", limit=4)
    (held,) = partition.send(hold_in_pieces("r1", 9, or_fewer=True))
    # As many as one hold may have.
    assert (held.name, held.seats) == ("SeatsHeld", ((0, 0, 2), (1, 0, 2)))
    assert partition.send(hold_in_pieces("r1", 9, or_fewer=True)) == [held]
    (rest,) = partition.send(hold_in_pieces("r2", 3, or_fewer=True))
    assert rest.seats == ((0, 2, 1),)
    (refused,) = partition.send(hold_in_pieces("r3", 3, or_fewer=True))
    assert (refused.name, refused.reason) == ("ReservationRejected", Reason.SOLD_OUT)
    (bad,) = partition.send(hold_in_pieces("r4", 0, or_fewer=True))
    assert bad.reason is Reason.BAD_COUNT
    partition.send(release("r1"))
    (again,) = partition.send(hold_in_pieces("r5", 4))
    assert again.seats == held.seats


def test_chosen_seats_are_held_as_ranges() -> None:
    (held,) = opened("..|...").send(hold_chosen("r1", [(0, 3), (0, 1), (0, 2)]))
    assert held.seats == ((0, 1, 1), (0, 2, 2))


@given(logs())
def test_every_outcome_about_seats_has_the_sum_of_their_prices(log: list[PipedRecord]) -> None:
    """The first section of a drawn log costs 4500, 2950 and 0 a seat, the others nothing."""
    partition = Partition(log=list(log))
    seats_by_id: dict[str, Any] = {}
    for outcome in map(told, partition.fold(log)):
        if outcome.name == "SeatsHeld":
            seats_by_id[outcome.reservation] = outcome.seats
        if "amount" not in outcome.fields:
            continue
        in_first = outcome.section == A.encode()
        seats = seats_by_id[outcome.reservation] if outcome.fields.get("epoch") else ()
        slowly = sum(
            (4_500, 2_950, 0)[row] for row, first, count in seats for _ in range(count) if in_first
        )
        currency = b"EUR" if in_first and seats else b""
        assert (outcome.amount, outcome.currency) == (slowly, currency)


def test_the_price_of_a_hold_stays_with_it_whatever_becomes_of_it() -> None:
    partition = opened("....\n....", currency="KRW", amounts=(99_000, 55_000), hold_ms=1_000)
    price = (198_000, b"KRW")
    held = partition.send(hold("r1", 2))
    partition.now_ms += 500
    told_of = [
        *held,
        *partition.send(extend("r1", correlation="c")),
        *partition.pass_ms(20_000),
        *partition.send(confirm("r1"), confirm("r1"), hold("r1", 2)),
    ]
    assert [one.name for one in told_of if (one.amount, one.currency) == price] == [
        "SeatsHeld",
        "HoldExtended",
        "ReservationReleased",
        "ReservationConfirmed",
        "ReservationConfirmed",
        "SeatsHeld",
    ]
    (chosen,) = partition.send(hold_chosen("r2", [(1, 0), (0, 3), (1, 2)]))
    assert (chosen.amount, chosen.currency) == (209_000, b"KRW")
    partition.forget()
    (released,) = partition.send(release("r2"))
    assert (released.amount, released.currency) == (209_000, b"KRW")


def test_a_cancellation_that_overtakes_its_hold_costs_nothing() -> None:
    (cancelled,) = opened("....", currency="EUR", amounts=(1,)).send(release("r1"))
    assert (cancelled.amount, cancelled.currency) == (0, b"")


def test_f89_what_a_former_release_has_stored_is_sold_extended_and_released() -> None:
    partition = opened("......", max_hold_ms=1_800_000)
    partition.send(hold("r1", 2), hold("r2", 1))
    for key, payload in partition.stored().items():
        # Neither had a price at its end, nor had they to do with payments.
        if key[:1] == LAYOUT:
            assert payload.endswith(bytes(2) + b"\xc0\xee\x6d")
            partition.state.put(key, payload[:-5])
        elif key[:1] == RESERVATION:
            assert payload.endswith(bytes(3))
            partition.state.put(key, payload[:-3], START_MS + 600_000)
    partition.state.write(partition.state.seal(), None)
    partition.forget()
    partition.now_ms += 1_000
    outcomes = partition.send(extend("r1", correlation="c"), confirm("r1"), release("r2"))
    assert [one.name for one in outcomes] == [
        "HoldExtended",
        "ReservationConfirmed",
        "ReservationReleased",
    ]
    assert {(one.amount, one.currency) for one in outcomes} == {(0, b"")}
    assert partition.send(open_section("......"))[0].name == "SectionOpened"


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


@pytest.mark.parametrize("count", [2, 17, 21_000])
@pytest.mark.parametrize("listed", [17, 21_000])
def test_s3_8_a_list_of_more_seats_than_a_hold_has_is_rejected_and_not_stored(
    listed: int, count: int
) -> None:
    partition = opened("." * 60)
    asked = hold_chosen("r1", [(0, at % 60) for at in range(listed)], count)
    (rejected,) = partition.send(asked)
    assert (rejected.name, rejected.reason) == ("ReservationRejected", Reason.BAD_COUNT)
    assert len(partition.stored()[RESERVATION + b"r1"]) < 100
    partition.forget()
    assert partition.send(asked) == [rejected]
    assert partition.send(hold_chosen("r1", [(0, 1)]))[0].reason is Reason.CONFLICT
    (refused,) = partition.send(release("r1"))
    assert refused.name == "CommandRefused"
    assert partition.send(hold("r2", 1))[0].name == "SeatsHeld"


def test_s3_8_a_list_as_long_as_a_hold_may_be_is_stored() -> None:
    partition = opened("." * 60, limit=16)
    seats = [(0, at) for at in range(16)]
    (held,) = partition.send(hold_chosen("r1", seats))
    assert partition.send(hold_chosen("r1", seats)) == [held]
    assert partition.send(hold_chosen("r1", seats[::-1]))[0].reason is Reason.CONFLICT
