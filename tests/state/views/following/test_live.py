"""Views of topics as a process starts and ends them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from schemas.topics import EVENTS
from state.views.availability.answers import Demand
from state.views.availability.view import AvailabilityView
from state.views.events.catalogue import EventCatalogue
from state.views.following.ages import boot_clock_ns
from state.views.following.live import PINS_ONLY, LiveView, NotReady, Source
from state.views.outcomes.feed import OutcomeFeed

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize("make", [AvailabilityView, EventCatalogue])
def test_a_view_whose_brokers_are_away_is_not_ready_and_says_so(
    make: Callable[[str], LiveView],
) -> None:
    with make(NOBODY) as view:
        with pytest.raises(NotReady, match=r"not read to its end in 0\.01 s|refused|resolve|down"):
            view.wait_ready(0.01)
        assert not view.is_ready()
        assert view.failure is None
    # Its thread has ended, and may be told so again.
    view.close()


def test_a_view_that_closes_answers_who_waits() -> None:
    view = AvailabilityView(NOBODY)
    view.start()
    told = []
    demand = Demand(7, "A", max_staleness_ms=1)
    waiting = threading.Thread(target=lambda: told.append(view.wait(demand, 60, or_stale=True)))
    waiting.start()
    view.close()
    waiting.join(60)
    assert told == [None]


@pytest.mark.parametrize("make", [AvailabilityView, EventCatalogue, OutcomeFeed])
def test_every_view_is_told_alike_how_to_reach_its_topic(make: Callable[..., Any]) -> None:
    """Options, ids and clock go to the feed that reads; a name that means nothing is refused."""
    options = {"security.protocol": "SSL"}
    view = make(NOBODY, kafka=options, schemas=PINS_ONLY, clock_ns=lambda: 7)
    feed = view._feed
    assert (feed._brokers, feed._kafka, feed._clock_ns()) == (NOBODY, options, 7)
    assert feed._confirm == PINS_ONLY.confirm
    with pytest.raises(TypeError, match="broker_options"):
        make(NOBODY, broker_options=options)


def test_a_view_goes_by_the_machines_clock_and_the_pinned_ids_where_nothing_is_said() -> None:
    source = Source(NOBODY, EVENTS)
    assert (source.schemas, source.kafka, source.clock_ns) == (PINS_ONLY, {}, boot_clock_ns)
    follower: Any = None
    assert source.followed(follower, "test")._topic == "events"
    assert Source(NOBODY, EVENTS, "e7").followed(follower, "test")._topic == "e7"


@pytest.mark.parametrize(
    ("make", "heartbeat_ms"),
    [(AvailabilityView, 200), (OutcomeFeed, 500), (EventCatalogue, 1_000)],
)
def test_a_view_asks_for_its_end_as_often_as_it_must_unless_it_is_told(
    make: Callable[..., Any], heartbeat_ms: int
) -> None:
    assert make(NOBODY)._feed._heartbeat_ns == heartbeat_ms * 1_000_000
    assert make(NOBODY, heartbeat_ms=7)._feed._heartbeat_ns == 7_000_000
