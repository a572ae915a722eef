"""The availability of every section with its age, in the memory of any process.

    with AvailabilityView("localhost:9092") as view:
        view.wait_ready(timeout_s=30)
        print(view.get(7, "A"))

One thread reads the compacted topic `section-status` from its beginning and tails it; look-ups are
answered from memory. `docs/availability-view.md` tells how old an answer can be, and what the
prefilter can miss when it refuses.
"""

from typing import Final, Unpack

from schemas.topics import SECTION_STATUS
from state.views.availability.answers import Availability, Demand, NotYet, TooStale
from state.views.availability.contents import Change
from state.views.availability.statistics import ViewStatistics
from state.views.availability.statuses import STALE_AFTER_MS, SectionStatuses
from state.views.following.heartbeat import TopicMissing
from state.views.following.live import LiveView, NotReady, Reach, Source

__all__ = [
    "Availability",
    "AvailabilityView",
    "Change",
    "Demand",
    "NotReady",
    "NotYet",
    "TooStale",
    "TopicMissing",
    "ViewStatistics",
]

NAME: Final = "availability-view"
HEARTBEAT_MS: Final = 200


class AvailabilityView(SectionStatuses, LiveView):
    """The view of one process. It is thread-safe, and a context manager that starts and closes it.

    brokers:        host:port, separated by commas.
    stale_after_ms: above this age answers are `stale`, and the prefilter refuses nothing.
    reach:          topic, heartbeat_ms, schemas, kafka and clock_ns, as in `Source`; the topic is
                    section-status.

    Raises as `SchemaSource.ids` does; connects to nothing before `start`.
    """

    def __init__(
        self, brokers: str, *, stale_after_ms: int = STALE_AFTER_MS, **reach: Unpack[Reach]
    ) -> None:
        reach.setdefault("heartbeat_ms", HEARTBEAT_MS)
        source = Source(brokers, SECTION_STATUS, **reach)
        decoder = source.decoder()
        learn = source.learning(decoder)
        super().__init__(decoder, learn, stale_after_ms=stale_after_ms, clock_ns=source.clock_ns)
        self._feed = source.followed(self, NAME)

    def refresh(self) -> None:
        """Ask the brokers for the topic's end now, instead of with the next heartbeat."""
        self._feed.refresh()
