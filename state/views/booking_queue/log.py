"""The booking queue's topic, as a process follows it."""

from typing import Final, Unpack

from schemas.topics import BOOKING_QUEUE
from state.domain.booking_queue.figures import LENGTH_MAX
from state.records.booking_queue.commands import QueueCodecs
from state.views.booking_queue.contents import BookingLines
from state.views.following.live import LiveView, Reach, Source

NAME: Final = "booking-queue"


class BookingLog(BookingLines, LiveView):
    """The lines of one process. It is thread-safe; as a context manager it starts and closes.

    brokers: host:port, separated by commas.
    reach:   as in `Source`; the topic is booking-queue.

    Raises as `SchemaSource.ids` does; connects to nothing before `start`.
    """

    def __init__(
        self, brokers: str, *, length_max: int = LENGTH_MAX, **reach: Unpack[Reach]
    ) -> None:
        source = Source(brokers, BOOKING_QUEUE, **reach)
        self.codecs = QueueCodecs.of(source.schemas.ids())
        decoder = source.decoder()
        super().__init__(
            decoder, source.learning(decoder), length_max=length_max, clock_ns=source.clock_ns
        )
        self._feed = source.followed(self, NAME)

    def refresh(self) -> None:
        """Ask the brokers for the topic's end now, instead of with the next heartbeat."""
        self._feed.refresh()
