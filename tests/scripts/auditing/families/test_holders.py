"""A seat has one holder at most, and a reservation its seats whole or not at all."""

from hypothesis import given
from hypothesis import strategies as st
from support.logs.facts_by_hand import Finding, findings, following, judged, outcome_of, seats

from scripts.auditing.facts import Told
from scripts.auditing.families.holders import check


def found(*told: Told) -> list[Finding]:
    return findings(check, following(*told))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=30))
def test_whoever_takes_free_seats_and_gives_back_his_own_is_never_noted(
    steps: list[tuple[int, int, bool]],
) -> None:
    # One reservation a step; a seat that is taken is given back, or sold for good.
    holder: dict[int, str] = {}
    sold: set[int] = set()
    told = []
    for offset, (seat, _, is_sold) in enumerate(steps):
        part = seats(0, seat, 1)
        if seat in sold:
            continue
        if seat not in holder:
            holder[seat] = f"r{offset}"
            told.append(outcome_of("SeatsHeld", offset, f"r{offset}", seats=part))
        elif is_sold:
            sold.add(seat)
            told.append(outcome_of("ReservationConfirmed", offset, holder[seat], seats=part))
        else:
            told.append(outcome_of("ReservationReleased", offset, holder.pop(seat), seats=part))
    assert found(*told) == []


def test_a_seat_that_is_held_cannot_be_held_blocked_or_taken_back_by_another() -> None:
    first = outcome_of("SeatsHeld", 1, "r1", seats=seats(0, 0, 2))
    hold = outcome_of("SeatsHeld", 2, "r2", seats=seats(0, 1, 2))
    block = outcome_of("SeatsBlocked", 3, "b", seats=seats(0, 0, 1))
    again = outcome_of("ReservationConfirmed", 4, "r3", seats=seats(0, 0, 1), reacquired=True)
    assert found(first, hold) == [("I3", "two holders", 2)]
    assert found(first, block) == [("I3", "two holders", 3)]
    assert found(first, again) == [("I3", "two holders", 4)]


def test_only_who_has_all_the_seats_sells_or_frees_them() -> None:
    held = outcome_of("SeatsHeld", 1, "r1", seats=seats(0, 0, 2))
    sale = outcome_of("ReservationConfirmed", 2, "r1", seats=seats(0, 0, 3))
    theft = outcome_of("ReservationReleased", 3, "r2", seats=seats(0, 0, 2))
    assert found(held, sale) == [("I4", "torn reservation", 2)]
    assert found(held, theft) == [("I4", "torn reservation", 3)]


def test_only_what_was_sold_is_refunded_and_then_its_seats_may_be_sold_again() -> None:
    part = {"seats": seats(0, 0, 2)}
    held = outcome_of("SeatsHeld", 1, "r1", **part)
    sold = outcome_of("ReservationConfirmed", 2, "r1", **part)
    refunded = outcome_of("ReservationRefunded", 3, "r1", **part)
    others = [
        outcome_of("SeatsHeld", 4, "r2", **part),
        outcome_of("ReservationConfirmed", 5, "r2", **part),
    ]
    assert found(held, sold, refunded, *others) == []
    assert found(held, refunded) == [("I4", "torn reservation", 3)]
    theft = outcome_of("ReservationRefunded", 3, "r2", **part)
    assert found(held, sold, theft) == [("I4", "torn reservation", 3)]


def test_each_seat_that_is_sold_twice_is_counted() -> None:
    both = [
        outcome_of("ReservationConfirmed", 1, "r1", seats=seats(0, 0, 3), reacquired=True),
        outcome_of("ReservationConfirmed", 2, "r2", seats=seats(0, 1, 3), reacquired=True),
    ]
    report = judged(check, following(*both))
    assert report.sold_twice == 2
    assert [each.anomaly for each in report.violations] == ["two holders", "sold twice"]


def test_seats_that_are_not_blocked_any_more_may_be_held() -> None:
    assert (
        found(
            outcome_of("SeatsBlocked", 1, "b1"),
            outcome_of("SeatsUnblocked", 2, "b2"),
            outcome_of("SeatsHeld", 3),
        )
        == []
    )


def test_seats_of_the_same_place_in_two_sections_are_two_seats() -> None:
    here, there = outcome_of("SeatsHeld", 1, "r1"), outcome_of("SeatsHeld", 2, "r2")
    there.fields["request"]["section"] = "B"
    assert found(here, there) == []
