"""The version of a section rises by one with each change, and only then."""

from support.logs.facts_by_hand import Finding, findings, following, outcome_of

from scripts.auditing.facts import Told
from scripts.auditing.families.versions import check


def found(*told: Told) -> list[Finding]:
    return findings(check, following(*told))


OPENED = outcome_of("SectionOpened", 1, version=1)


def test_each_change_is_one_version_more_whatever_lies_between() -> None:
    assert (
        found(
            OPENED,
            outcome_of("SeatsHeld", 2, version=2),
            outcome_of("HoldExtended", 3, version=2),
            outcome_of("ReservationRejected", 4, version=2),
            outcome_of("CommandRefused", 5, version=2),
            outcome_of("SectionOpened", 6, version=2),
            outcome_of("ReservationReleased", 7, version=2, epoch=0, seats=[]),
            outcome_of("ReservationConfirmed", 8, version=3),
            outcome_of("SeatsBlocked", 9, version=4),
            outcome_of("SeatsUnblocked", 10, version=5),
        )
        == []
    )


def test_a_version_left_out_and_one_told_twice_are_gaps() -> None:
    left_out = outcome_of("SeatsHeld", 2, version=3)
    twice = outcome_of("SeatsHeld", 2, version=1)
    assert found(OPENED, left_out) == [("I5", "version gap", 2)]
    assert found(OPENED, twice) == [("I5", "version gap", 2)]
    # What follows is compared with what was told, so that one gap is noted once.
    assert len(found(OPENED, left_out, outcome_of("ReservationReleased", 4, version=4))) == 1


def test_a_section_whose_opening_nobody_saw_begins_where_it_is() -> None:
    assert found(outcome_of("SeatsHeld", 5, version=40)) == []


def test_a_window_that_stays_as_it_was_is_no_change() -> None:
    first = outcome_of("SaleWindowChanged", 2, version=2, saleEndsMs=5)
    same = outcome_of("SaleWindowChanged", 3, version=2, saleEndsMs=5)
    other = outcome_of("SaleWindowChanged", 4, version=3, saleEndsMs=6)
    assert found(OPENED, first, same, other) == []
    silent = outcome_of("SaleWindowChanged", 4, version=2, saleEndsMs=6)
    assert found(OPENED, first, same, silent) == [("I5", "version gap", 4)]


def test_a_first_window_may_be_that_of_the_opening() -> None:
    assert found(OPENED, outcome_of("SaleWindowChanged", 2, version=1)) == []
