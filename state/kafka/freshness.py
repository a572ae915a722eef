"""How sure it is that a partition was read to its end, told as a clock.

A partition's `known_ns` is the latest clock at which somebody asked the broker for the
partition's end and everything before the answered end has been taken in since. Whatever was
visible at `known_ns` is therefore in here. The clock is read before the question is sent, so
nothing that delays question, answer or records can make a status look fresher than it is.
"""

from collections import deque

# Unanswered ends kept for a partition: 10 s and more of lag without losing the oldest.
_PENDING_MAX = 64


class LogShortened(Exception):
    """A partition lost records that it had: the topic was recreated, or a leader truncated it.

    Operator action: none; the view reads the topic from its beginning again.
    """


class Freshness:
    """When one partition was last known to be read to its end.

    known_ns:       as told above, in ns of the view's clock.
    has_been_known: since this reading of the topic began.
    position:       offset of the next record to take in.
    """

    __slots__ = ("_end", "_pending", "has_been_known", "known_ns", "partition", "position")

    def __init__(self, partition: int, known_ns: int) -> None:
        self.partition = partition
        self.known_ns = known_ns
        self.position = 0
        self.has_been_known = False
        self._end = 0
        self._pending: deque[tuple[int, int]] = deque()

    def ends_at(self, end: int, asked_ns: int) -> None:
        """Note the end offset that a question asked at `asked_ns` brought.

        Raises LogShortened where the end was further once.
        """
        if end < self._end:
            raise LogShortened(f"partition {self.partition} ended at {self._end}, now at {end}")
        self._end = end
        if end <= self.position:
            self._known_at(asked_ns)
        elif len(self._pending) < _PENDING_MAX:
            self._pending.append((end, asked_ns))

    def reached(self, position: int) -> None:
        """Note that everything before `position` was taken in.

        Raises LogShortened where that was so for a higher one before.
        """
        if position < self.position:
            raise LogShortened(
                f"partition {self.partition} was read to {self.position}, now at {position}"
            )
        self.position = position
        pending = self._pending
        while pending and pending[0][0] <= position:
            self._known_at(pending.popleft()[1])

    def _known_at(self, asked_ns: int) -> None:
        self.known_ns = max(self.known_ns, asked_ns)
        self.has_been_known = True
