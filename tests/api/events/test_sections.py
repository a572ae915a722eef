"""Every section is asked once by a request, and what each said is told apart."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from support.seats.section_commands import IDS

from api.commands.desk import Command
from api.events.sections import AT_ONCE_MAX, NAMED_MAX, Answers, ask_each, check_refusals
from api.web.problems import Problem
from infra.process.log_lines import Correlation
from state.domain.outcome import OutcomeKind
from state.domain.reasons import ApiReason, Reason
from state.records.commands import CommandEncoders

DONE: Any = SimpleNamespace(is_refusal=False)
REFUSED: Any = SimpleNamespace(is_refusal=True, reason=Reason.CONFLICT)
BUSY = Problem.of(ApiReason.OVERLOADED, "Come again.")


class Desk:
    """Answers by section: an outcome, a problem, or nothing in time."""

    encoders = CommandEncoders(IDS)

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.asked: list[Command] = []
        self.at_once = self.most_at_once = 0

    def partition_of(self, _key: bytes) -> int:
        return 3

    async def decided(self, command: Command, _wait_s: float) -> Any:
        self.asked.append(command)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        told = self.told[command.section_key.decode().partition("-")[2]]
        if isinstance(told, Problem):
            raise told
        return told


def answers_of(desk: Desk) -> Answers:
    by: Any = SimpleNamespace(
        pod=SimpleNamespace(desk=desk),
        user_id="operator",
        stem="t-1",
        wait=SimpleNamespace(seconds=60.0),
        correlation=Correlation("c-7"),
    )

    def value(identity: bytes, number: int) -> bytes:
        return identity + b"%d" % number

    kind = OutcomeKind.OPENED
    return asyncio.run(ask_each(by, 7, list(desk.told), "open", kind, value))


def test_what_each_section_said_is_told_apart() -> None:
    desk = Desk({"D": DONE, "R": REFUSED, "S": None, "B": BUSY, "A": None})
    answers = answers_of(desk)
    assert answers.done == {"D": DONE}
    assert answers.refused == {"R": Reason.CONFLICT}
    assert answers.pending == ["A", "B", "S"]
    assert answers.not_taken is BUSY
    # The same request has the same ids, whoever repeats it.
    assert [one.reservation_id for one in desk.asked] == [
        b"open-t-1-" + name.encode() for name in desk.told
    ]
    assert [one.value[-1:] for one in desk.asked] == [b"0", b"1", b"2", b"3", b"4"]


def test_one_request_asks_only_so_many_sections_at_once() -> None:
    desk = Desk({f"S{number}": DONE for number in range(3 * AT_ONCE_MAX)})
    assert len(answers_of(desk).done) == 3 * AT_ONCE_MAX
    assert desk.most_at_once == AT_ONCE_MAX


def test_refusals_are_a_problem_that_names_some_of_the_sections() -> None:
    refused = {f"S{number:03}": Reason.BAD_COUNT for number in range(NAMED_MAX + 1)}
    check_refusals(Answers())
    with pytest.raises(Problem) as told:
        check_refusals(Answers(refused=refused, pending=["X"]))
    assert told.value.reason is Reason.BAD_COUNT
    assert len(told.value.extensions["sections"]) == NAMED_MAX
    assert told.value.extensions["pending"] == 1


def test_a_section_that_is_open_otherwise_is_a_conflict_whatever_others_say() -> None:
    refused = {"A": Reason.BAD_COUNT, "B": Reason.CONFLICT}
    with pytest.raises(Problem) as told:
        check_refusals(Answers(refused=refused))
    assert (told.value.status, told.value.reason) == (409, Reason.CONFLICT)
