"""Who calls, and how refusals are told: without a channel."""

import asyncio
import logging
from typing import Any, NoReturn

import grpc
import pytest
from support.pages.tokens import token, verifier

from api.access.identity import Identity
from api.booking.callers import CODES, identify, told, values_of
from api.web.problems import STATUS, Problem
from state.domain.booking_queue.queue import QueueAway, QueueUnreadable
from state.domain.reasons import ApiReason, Reason
from state.records.booking_queue.wishes import WishUnreadable
from state.redis.line import TooManyAsk

Codes = grpc.StatusCode


class PodOfTokens:
    verifier = verifier()


class Aborted(grpc.aio.BaseError):
    """What ends a call of the library's."""


class Call:
    """A call that notes how it is ended."""

    def __init__(self) -> None:
        self.ended: tuple[Any, ...] = ()

    async def abort(self, code: Codes, details: str = "", trailing: Any = ()) -> NoReturn:
        self.ended = (code, details, dict(trailing))
        raise Aborted


async def ended_by(error: BaseException) -> tuple[Any, ...]:
    call: Any = Call()
    with pytest.raises(Aborted):
        async with told(call):
            raise error
    ended: tuple[Any, ...] = call.ended
    return ended


def test_every_status_of_a_problem_that_a_call_may_meet_has_a_code() -> None:
    met = {STATUS[reason][0] for reason in (*ApiReason, *Reason)}
    # Of HTTP's own framing and of our own mistakes.
    assert met - CODES.keys() == {405, 406, 408, 414, 415, 431, 500}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Problem.of(ApiReason.NOT_FOUND, "x"), Codes.NOT_FOUND),
        (Problem.of(Reason.INTERNAL, "x"), Codes.INTERNAL),
        (TooManyAsk(), Codes.RESOURCE_EXHAUSTED),
        (QueueAway("redis://user:secret@host"), Codes.UNAVAILABLE),
        (TimeoutError(), Codes.DEADLINE_EXCEEDED),
        (QueueUnreadable("secret"), Codes.INTERNAL),
        (WishUnreadable("secret"), Codes.INTERNAL),
        (RuntimeError("secret"), Codes.INTERNAL),
    ],
)
def test_what_goes_wrong_ends_the_call_by_its_code_and_shows_nothing_of_ours(
    error: Exception, code: Codes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL + 1):
        ended, details, _ = asyncio.run(ended_by(error))
    assert ended is code
    assert "secret" not in details


def test_a_call_that_is_ended_or_cancelled_already_is_left_alone() -> None:
    async def go() -> None:
        for error in (Aborted(), asyncio.CancelledError()):
            call: Any = Call()
            with pytest.raises(type(error)):
                async with told(call):
                    raise error
            assert call.ended == ()

    asyncio.run(go())


def test_a_refusal_tells_when_to_come_back_and_why() -> None:
    problem = Problem.of(ApiReason.TOO_MANY_REQUESTS, "x", headers=(("Retry-After", "7"),))
    _, _, trailing = asyncio.run(ended_by(problem))
    assert trailing == {"seatstream-reason": "TOO_MANY_REQUESTS", "retry-after": "7"}


def test_metadata_is_read_by_its_name_and_bytes_are_no_text() -> None:
    shown: list[tuple[str, str | bytes]] = [("a", "1"), ("b", "2"), ("a", "3"), ("a", b"4")]
    assert values_of(shown, "A") == ["1", "3"]
    assert values_of(None, "a") == []


@pytest.mark.parametrize("shown", [[], ["x", "y"], ["Bearer é\u0301"], [""]])
def test_who_shows_no_token_or_two_is_nobody(shown: list[str]) -> None:
    pod: Any = PodOfTokens()
    with pytest.raises(Problem) as caught:
        identify(pod, [("authorization", text) for text in shown])
    assert caught.value.status == 401


def test_who_shows_a_token_is_its_subject() -> None:
    pod: Any = PodOfTokens()
    who = identify(pod, [("authorization", f"Bearer {token()}")])
    assert who == Identity("alice", frozenset({"buyer"}))
