"""One command of an operator to every section of an event, and what became of each of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Depends, Request

from api.commands.desk import APPEND_WAIT_S, Command, Wait
from api.guard import Operator, pod_of
from api.headers import AskedWait, Key
from api.pod import Pod
from api.web.problems import STATUS, Problem
from api.web.waits import Caller, caller_of
from infra.process.log_lines import Correlation
from infra.process.record_ids import record_headers
from state.domain.keys import section_key, stem_of
from state.domain.outcome import Outcome, OutcomeKind, reason_of
from state.domain.reasons import Reason

AT_ONCE_MAX: Final = 32
"""Sections that one request asks at once; buyers need room too."""

NAMED_MAX: Final = 100
"""Sections that an answer names."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of an operator, checked.

    stem: of the idempotency key.
    """

    pod: Pod
    caller: Caller
    user_id: str
    stem: str
    wait: Wait
    correlation: Correlation


async def asked(
    request: Request,
    who: Operator,
    key: Key,
    wait: AskedWait,
) -> Asked:
    """Demand an operator and an idempotency key; raises Problem."""
    pod = pod_of(request)
    return Asked(
        pod,
        caller_of(request, who.user_id),
        who.user_id,
        stem_of(who.user_id, key),
        wait,
        request.state.correlation,
    )


ByOperator = Annotated[Asked, Depends(asked)]


@dataclass(slots=True)
class Answers:
    """What became of one command to each of some sections.

    pending:   sections without an outcome in time, or that were not asked.
    not_taken: the problem of the last one that was certainly not asked.
    """

    done: dict[str, Outcome] = field(default_factory=dict)
    refused: dict[str, Reason] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    not_taken: Problem | None = None


async def ask_each(
    by: Asked,
    event_id: int,
    sections: Sequence[str],
    verb: str,
    kind: OutcomeKind,
    value: Callable[[bytes, int], bytes],
) -> Answers:
    """Send a command to each section and wait for all outcomes, some at once.

    verb:  begins the id of each command, with at most 4 characters.
    value: given the encoded identity and the section's number.
    """
    desk = by.pod.desk
    answers = Answers()
    loop = asyncio.get_running_loop()
    until_s = loop.time() + by.wait.seconds
    room = asyncio.Semaphore(AT_ONCE_MAX)

    async def ask(number: int, section: str) -> None:
        key = section_key(event_id, section)
        # Stem and section: the same request has the same ids, whoever repeats it and where.
        command_id = f"{verb}-{by.stem}-{section}"
        correlation = by.correlation.id
        identity = desk.encoders.identity(command_id, by.user_id, section, event_id, correlation)
        async with room:
            # Brokers that acknowledge nothing would hold up one group of sections after another.
            if loop.time() > until_s + APPEND_WAIT_S:
                answers.pending.append(section)
                return
            try:
                command = Command(
                    reservation_id=command_id.encode(),
                    section_key=key,
                    partition=desk.partition_of(key),
                    value=value(identity, number),
                    kinds=frozenset({kind}),
                    correlation=correlation.encode(),
                    headers=record_headers(by.correlation),
                )
                outcome = await desk.decided(command, max(0.0, until_s - loop.time()))
            except Problem as problem:
                answers.not_taken = problem
                answers.pending.append(section)
                return
        if outcome is None:
            answers.pending.append(section)
        elif outcome.is_refusal:
            answers.refused[section] = reason_of(outcome.reason)
        else:
            answers.done[section] = outcome

    async with asyncio.TaskGroup() as group:
        for number, section in enumerate(sections):
            group.create_task(ask(number, section))
    answers.pending.sort()
    return answers


def check_refusals(answers: Answers) -> None:
    """Raise Problem for sections that refused, with the reason of the first."""
    if not answers.refused:
        return
    reason = next(iter(answers.refused.values()))
    status, _ = STATUS[reason]
    detail = "Look at `sections`; nothing of the event was changed there."
    if Reason.CONFLICT in answers.refused.values():
        # Not the key but the event's id stands for something else.
        status, reason = 409, Reason.CONFLICT
        detail = "These sections are open with another plan: open another event, or that plan."
    raise Problem(
        status,
        reason,
        detail,
        sections=_refusals(answers.refused),
        done=len(answers.done),
        pending=len(answers.pending),
    )


def _refusals(refused: Mapping[str, Reason]) -> list[dict[str, str]]:
    named = sorted(refused.items())[:NAMED_MAX]
    return [{"section": section, "reason": reason.name} for section, reason in named]
