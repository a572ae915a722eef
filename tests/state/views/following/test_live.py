"""Views of topics as a process starts and ends them."""

import threading
from collections.abc import Callable

import pytest

from state.views.availability.answers import Demand
from state.views.availability.view import AvailabilityView
from state.views.events.catalogue import EventCatalogue
from state.views.following.live import LiveView, NotReady

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
