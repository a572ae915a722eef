"""Topics in memory, as parts of a pod."""

import asyncio

import pytest
from support.pods.event_log import EventLog
from support.records.status_records import view_of

from api.parts.followed import Followed, FollowedOutcomes, of_events, of_view
from state.views.outcomes.feed import OutcomeFeed
from state.views.outcomes.waiters import WaitsEnded


def test_a_view_is_told_of_by_the_name_of_its_part() -> None:
    view = view_of(4, 4, 1)
    part = Followed("view", view, of_view)
    assert part.given is view
    assert (part.readiness(), part.troubles()) == ({"view": True}, {"view": ""})
    view.troubled("brokers are down")
    assert part.troubles() == {"view": "brokers are down"}


def test_a_view_that_is_fed_by_hand_begins_and_ends_nothing() -> None:
    part = Followed("catalogue", EventLog().catalogue(), of_events)

    async def scenario() -> None:
        await part.start()
        await part.close()

    asyncio.run(scenario())
    assert part.ended() == {}


def test_a_thread_that_ended_by_a_mistake_of_ours_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = OutcomeFeed("127.0.0.1:1")
    part = FollowedOutcomes(feed)
    assert part.ended() == {}
    monkeypatch.setattr(type(feed), "failure", ZeroDivisionError())
    assert part.ended() == {"outcomes": "ZeroDivisionError"}


def test_who_waits_for_an_outcome_is_answered_when_the_pod_ends_its_waits() -> None:
    async def scenario() -> None:
        feed = OutcomeFeed("127.0.0.1:1")
        with feed._waiters.waiting(b"r") as waiter:
            FollowedOutcomes(feed).end_waits()
            with pytest.raises(WaitsEnded):
                await waiter.first(lambda _: True)

    asyncio.run(scenario())
