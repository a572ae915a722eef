"""Writes a compacted output anew from the state, a few records with each transaction.

These records go into the transactions of the batches, so that none overtakes a newer record. They
are written after every take-over and at intervals, whatever the output has already: to find out
what the output lacks would cost more than to write all of it again, and readers accept records
that they have already.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from state.stores.partition_state import PartitionState
from streams.batch import Effects
from streams.route import Retold

_AT_ONCE = 8


class Retelling:
    """The records that one partition still has to tell again.

    is_wanted: whether there are any.
    begun_s:   when telling last began, on the monotonic clock.
    age_s:     seconds since then; 0 for a route that tells nothing again.
    """

    def __init__(self, retold: Retold | None, state: PartitionState) -> None:
        self._retold = retold
        self._state = state
        self._keys: deque[bytes] = deque()
        self._begins = False
        self.begun_s = 0.0
        self.begin()

    @property
    def is_wanted(self) -> bool:
        return self._begins or bool(self._keys)

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.begun_s if self._retold is not None else 0.0

    def concerns(self, topic: str) -> bool:
        return self._retold is not None and topic in self._retold.topics

    def begin(self) -> None:
        """Tell everything again, from the first key on."""
        self._begins = self._retold is not None
        self.begun_s = time.monotonic()

    def add_to(self, effects: Effects) -> None:
        """Add the next few records to the effects of a decided batch; raises as the store."""
        retold = self._retold
        if retold is None or not self.is_wanted:
            return
        if self._begins:
            self._keys = deque(self._state.keys(retold.prefix))
            self._begins = False
        now = [self._keys.popleft() for _ in range(min(_AT_ONCE, len(self._keys)))]
        if now:
            told = retold.tell(self._state, now)
            for topic in retold.topics:
                effects.to(topic).extend(told)


def tell_oldest_again(retellings: Iterable[Retelling], age_s: float) -> None:
    """Begin the retelling that was begun longest ago again, if that was over age_s seconds ago.

    Nobody finds out which records an output lacks; those that were damaged and then compacted
    away, or lost in another way, come back with a retelling. One partition is enough at a time.
    """
    # Compared by their beginnings: ages would be taken at different moments.
    due = [one for one in retellings if one.age_s > age_s]
    if due:
        min(due, key=lambda one: one.begun_s).begin()
