"""A sale is exact where every seat was sold, every command answered, and nothing was wrong."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from scripts.auditing.http import HttpReport
from scripts.auditing.report import Report, Violation
from scripts.sale.verdict import answers_in, is_exact

SOUND = Report(
    commands=10,
    outcomes=12,
    lapses=2,
    seats=6,
    sold=6,
    captured=Counter(EUR=900),
    refunded=Counter(EUR=300),
    price_of_sold=Counter(EUR=600),
)
HTTP = HttpReport(requests=3, ok=3)


def test_a_lapse_answers_no_command() -> None:
    assert answers_in(SOUND) == 10


def test_a_sale_without_a_fault_is_exact() -> None:
    assert is_exact(SOUND, HTTP, 6)


@pytest.mark.parametrize(
    "report",
    [
        replace(SOUND, sold=5, free=1),
        replace(SOUND, seats=5, sold=5),
        replace(SOUND, outcomes=11),
        replace(SOUND, outcomes=13),
        replace(SOUND, violations=[Violation("I1", "sold twice", 0, 7, "two owners")]),
        replace(SOUND, pending=1),
    ],
    ids=["unsold", "unopened", "unanswered", "answered twice", "violation", "undecided"],
)
def test_a_sale_with_one_fault_in_the_log_is_not_exact(report: Report) -> None:
    assert not is_exact(report, HTTP, 6)


@pytest.mark.parametrize("fault", ["unissued", "unallocated", "issued_twice"])
def test_i26_a_sale_of_which_not_all_is_issued_once_is_not_exact(fault: str) -> None:
    report = replace(SOUND)
    setattr(report, fault, 1)
    assert not is_exact(report, HTTP, 6)


@pytest.mark.parametrize(
    "http", [replace(HTTP, wrong_refusals=1), replace(HTTP, view_mismatches=1)]
)
def test_a_sale_that_told_a_client_something_untrue_is_not_exact(http: HttpReport) -> None:
    assert not is_exact(SOUND, http, 6)


@pytest.mark.parametrize(
    "fault",
    [
        {"captured": Counter(EUR=901)},
        {"captured": Counter(USD=900)},
        {"refunded": Counter(EUR=299)},
        {"refunded": Counter(EUR=300, USD=1)},
        {"price_of_sold": Counter()},
        {"money_mismatch": 1},
        {"charged_twice": 1},
        {"open_intents": 1},
        {"compensations": 1},
    ],
)
def test_i10_i24_a_sale_whose_money_is_not_right_to_the_unit_is_not_exact(
    fault: dict[str, Any],
) -> None:
    assert not is_exact(replace(SOUND, **fault), HTTP, 6)
