"""The calls to one destination of one route, bounded apart from all others: a bulkhead."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from infra.process.breaker import Breaker, Rules, Verdict
from streams.intents import Intent, Performer
from streams.route import Route
from streams.runtime.outside.outbox import Entry, Outbox

TOLD_MAX: Final = 10_000
"""How many intents are answered NOT_TRIED while a circuit is open. The others wait for its end."""


@dataclass(slots=True)
class Call:
    """One intent that is called now, or answered NOT_TRIED.

    period:    period of the circuit in which the call begins; None to answer without a call.
    is_judged: whether the circuit was told how the call ended.
    """

    bulkhead: Bulkhead
    box: Outbox
    intent: Intent
    entry: Entry
    period: int | None
    is_judged: bool = False


class Bulkhead:
    """The calls to one destination: at most `limit` at once, for the partitions in turn.

    While the circuit is open each intent is answered once with NOT_TRIED. If its handler wants
    another attempt at once, that attempt waits until the destination may be called again: so the
    two do not run in a hot loop.

    limit:     how many calls and answers may be under way at once. under_way: how many are.
    performer: makes the calls.
    """

    def __init__(self, route: Route, destination: str, limit: int, rules: Rules) -> None:
        self.route = route
        self.destination = destination
        self.performer: Performer = route.performers[destination]
        self.limit = limit
        self.under_way = 0
        self.breaker = Breaker(rules)
        self._turns: deque[Outbox] = deque()
        self._told: set[tuple[Outbox, str]] = set()
        self._held: list[tuple[Outbox, Entry]] = []

    def join(self, box: Outbox) -> None:
        self._turns.append(box)

    def leave(self, box: Outbox) -> None:
        if box in self._turns:
            self._turns.remove(box)
        self._told = {(other, one) for other, one in self._told if other is not box}
        self._held = [(other, entry) for other, entry in self._held if other is not box]

    def next(self, now_ms: int, monotonic_ms: int) -> Call | None:
        """Return the intent to call or answer next; None where there is none now.

        now_ms: the wall clock, for due times. monotonic_ms: the clock of the circuit.
        """
        if self.under_way >= self.limit:
            return None
        verdict = self.breaker.verdict(monotonic_ms)
        if verdict is not Verdict.LEAVE:
            self._release()
        if verdict is Verdict.WAIT or len(self._told) >= TOLD_MAX:
            return None
        for _ in range(len(self._turns)):
            box = self._turns[0]
            self._turns.rotate(-1)
            if not box.may_perform(self.destination):
                continue
            # An intent that is due by the log's time is due, even if our own clock is late.
            due_by_ms = max(now_ms, box.partition.log_time_ms)
            while (taken := box.take(self.destination, due_by_ms)) is not None:
                intent, entry = taken
                if verdict is Verdict.CALL:
                    return Call(self, box, intent, entry, self.breaker.begin())
                if (box, intent.id) not in self._told:
                    self._told.add((box, intent.id))
                    return Call(self, box, intent, entry, None)
                self._held.append((box, entry))
        return None

    def next_due_ms(self) -> int | None:
        """Return when the next intent may become due; None where nothing has to be waited for."""
        if self.under_way >= self.limit:
            # The executor looks again when a call ends.
            return None
        times = [
            box.next_due_ms(self.destination)
            for box in self._turns
            if box.may_perform(self.destination)
        ]
        return min([time for time in times if time is not None], default=None)

    def _release(self) -> None:
        """Let all intents that waited for the circuit be tried again."""
        self._told.clear()
        held, self._held = self._held, []
        for box, entry in held:
            box.put_back(self.destination, entry)
