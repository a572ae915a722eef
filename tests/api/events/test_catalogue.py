"""An event is denied only where nobody can have been told of it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from fastapi import Request
from support.pods.api_pods import pod_with
from support.pods.conditions import until
from support.pods.event_log import ENCODE, EventLog, FollowedEvents
from support.records.event_values import event

import api.standing
from api.events.catalogue import catalogue_of, known_event, now_ms
from api.pod import Pod
from api.web.problems import Problem
from api.web.waits import Caller, ClientGone
from state.domain.event import Event
from state.domain.reasons import ApiReason
from state.records.event import event_key


async def stays() -> dict[str, Any]:
    """Be a client that does not go away."""
    await asyncio.Event().wait()
    raise AssertionError


ANN = Caller("ann", stays)


class Stage:
    """A pod whose catalogue follows a log; what it holds back is unread."""

    def __init__(self) -> None:
        self.log = EventLog()
        self.catalogue = self.log.catalogue()
        self.pod = pod_with(catalogue=self.catalogue)

    def tell(self, *events: Event) -> None:
        for one in events:
            self.log.append(event_key(one.event_id), ENCODE(one))

    def asked(self, event_id: int, caller: Caller = ANN) -> Coroutine[Any, Any, Event]:
        return known_event(self.pod, caller, event_id)


def scenario(play: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def bounded() -> None:
            stage = Stage()
            async with asyncio.timeout(60):
                await play(stage)
            assert len(stage.pod.waits) == 0
            assert not stage.catalogue._wakers

        asyncio.run(bounded())

    run.__name__ = play.__name__
    return run


async def reason_of(asking: Awaitable[Event]) -> ApiReason:
    with pytest.raises(Problem) as refused:
        await asking
    reason = refused.value.reason
    assert isinstance(reason, ApiReason)
    return reason


@scenario
async def test_what_is_known_is_told_without_asking_anybody(stage: Stage) -> None:
    stage.tell(event(7, name="Known"))
    stage.catalogue.is_cut_off = True
    assert (await stage.asked(7)).name == "Known"
    assert not stage.log.is_asked


@scenario
async def test_s8_what_is_unknown_is_denied_once_the_brokers_have_told_their_end(
    stage: Stage,
) -> None:
    stage.tell(event(7))
    assert await reason_of(stage.asked(8)) is ApiReason.NOT_FOUND
    assert stage.log.is_asked


@scenario
async def test_s8_what_another_pod_told_is_waited_for(stage: Stage) -> None:
    stage.log.holds = True
    stage.tell(event(8))
    asking = asyncio.create_task(stage.asked(8))
    await until(lambda: stage.catalogue._wakers)
    assert not asking.done()
    stage.log.release()
    assert (await asking).event_id == 8


def test_s8_while_the_brokers_do_not_tell_nothing_is_denied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api.standing, "CERTAIN_S", 0.001)

    @scenario
    async def play(stage: Stage) -> None:
        stage.catalogue.is_cut_off = True
        assert await reason_of(stage.asked(8)) is ApiReason.NOT_READY

    play()


@scenario
async def test_what_is_read_while_nobody_is_certain_is_told_all_the_same(stage: Stage) -> None:
    """The brokers do not tell where the log ends; the record itself has come."""
    stage.catalogue.is_cut_off = True
    asking = asyncio.create_task(stage.asked(8))
    await until(lambda: stage.catalogue._wakers)
    stage.tell(event(8))
    stage.catalogue.end_waits()
    assert (await asking).event_id == 8


@scenario
async def test_f6_nobody_waits_for_a_client_that_went(stage: Stage) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    stage.catalogue.is_cut_off = True
    with pytest.raises(ClientGone):
        await stage.asked(8, Caller("ann", gone))


def request_to(pod: Pod) -> Request:
    return Request({"type": "http", "pod": pod})


def test_f80_before_the_topic_was_read_there_is_no_catalogue_to_ask() -> None:
    catalogue = FollowedEvents(EventLog())
    request = request_to(pod_with(catalogue=catalogue))
    with pytest.raises(Problem) as refused:
        asyncio.run(catalogue_of(request))
    assert refused.value.reason is ApiReason.NOT_READY
    catalogue.publish(catalogue.reading)
    assert asyncio.run(catalogue_of(request)) is catalogue


def test_the_time_is_in_ms() -> None:
    times = [now_ms(), now_ms()]
    assert all(1_600_000_000_000 < ms < 4_000_000_000_000 for ms in times)
