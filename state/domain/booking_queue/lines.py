"""The lines of all events that one log tells of."""

from heapq import heappop
from typing import Final

from state.domain.booking_queue.figures import LENGTH_MAX
from state.domain.booking_queue.items import event_of
from state.domain.booking_queue.line import EventLine, Times
from state.domain.booking_queue.queue import Standing

FORGOTTEN_AT_ONCE: Final = 1_000
"""Items that one record has forgotten at most; later records forget the rest."""


SKEW_MS: Final = 3_600_000
"""How far clocks of brokers may be apart. Records of other events tell when an item is dropped,
and each pod reads them in an order of its own: by then each line takes it for forgotten."""


class Lines:
    """A line for each event of which something is known.

    length_max: items of an event that are not over.
    """

    def __init__(self, *, length_max: int = LENGTH_MAX) -> None:
        self._lines: dict[int, EventLine] = {}
        self._gone: Times = []
        self._length_max = length_max

    def of(self, event_id: int) -> EventLine:
        """Return the line of an event, to which a record may add."""
        line = self._lines.get(event_id)
        if line is None:
            line = EventLine(event_id, self._gone, length_max=self._length_max)
            self._lines[event_id] = line
        return line

    def known(self, event_id: int) -> EventLine | None:
        """Return the line of an event, or None where nothing is known of it."""
        return self._lines.get(event_id)

    def pass_to(self, now_ms: int) -> None:
        """Forget what is over for long enough at a record of that time, of whichever event."""
        gone = self._gone
        for _ in range(FORGOTTEN_AT_ONCE):
            if not gone or gone[0][0] > now_ms - SKEW_MS:
                return
            ms, item_id = heappop(gone)
            event_id = event_of(item_id)
            line = None if event_id is None else self._lines.get(event_id)
            if line is not None:
                line.forget(item_id, ms)
                self.tidy(line.event_id)

    def tidy(self, event_id: int) -> None:
        """Forget an event without items."""
        line = self._lines.get(event_id)
        if line is not None and line.is_empty:
            del self._lines[event_id]

    def events(self) -> tuple[int, ...]:
        """Return all events with items that are not over, or dead."""
        return tuple(
            event_id
            for event_id, line in sorted(self._lines.items())
            if line.length or line.dead(1)
        )

    def standing(self, event_id: int, now_ms: int) -> Standing:
        """Say how the queue of an event stands, with nothing where nothing is known of it."""
        line = self._lines.get(event_id) or EventLine(event_id, [])
        return line.standing(now_ms)
