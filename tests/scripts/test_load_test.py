"""A load whose arguments do not fit is refused; without a plan it has equal sections."""

import pytest

from scripts.load_test import arguments_of, plan_of
from state.plans.seating import SEATS_MAX, PlanFault


@pytest.mark.parametrize(
    "words",
    [
        ["--commands", "0"],
        ["--commands", "5000001"],
        ["--rate", "0"],
        ["--rate", "1", "--flat-out"],
        ["--chosen", "1.1"],
        ["--confirm", "0.6", "--cancel", "0.3", "--extend", "0.2"],
        ["--parties", "0,0"],
        ["--parties", "1,1,1,1,1,1,1,1,1"],
        ["--parties", "2,-1"],
    ],
)
def test_arguments_that_do_not_fit_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments_of(["--event-id", "1", *words])
    assert ended.value.code == 2


def test_the_plan_has_equal_sections_of_the_size_asked_for() -> None:
    size = ["--sections", "3", "--rows", "4", "--seats", "5"]
    plan = plan_of(arguments_of(["--event-id", "1", *size]))
    assert [(one.section, one.seat_count) for one in plan.sections] == [
        ("S1", 20),
        ("S2", 20),
        ("S3", 20),
    ]


def test_a_load_may_have_more_seats_than_a_strangers_plan() -> None:
    size = ["--sections", "800", "--rows", "100", "--seats", "50"]
    plan = plan_of(arguments_of(["--event-id", "1", *size]))
    assert plan.seat_count == 4_000_000 > SEATS_MAX


@pytest.mark.parametrize("size", [["--rows", "0"], ["--seats", "1001"], ["--rows", "100000"]])
def test_a_section_that_cannot_be_is_refused(size: list[str]) -> None:
    with pytest.raises(PlanFault, match="arguments"):
        plan_of(arguments_of(["--event-id", "1", *size]))
