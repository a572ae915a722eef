"""The line of one event of the booking queue in Kafka, folded anew; no code of the pods does it.

What pods took their lines to be shows in what they wrote: who settles an item must have had it,
attempts under one key lead to one reservation, and who came first is taken first.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Final

Found = Iterator[tuple[str, str]]
"""Anomalies and messages."""

# Figures of the manual, in ms.
LEASE_MS: Final = 120_000
ITEM_MS: Final = 900_000
KEPT_MS: Final = 86_400_000
DEAD_MS: Final = 30 * 86_400_000
PAUSES_MS: Final = (5_000, 10_000, 20_000)
LENGTH_MAX: Final = 100_000
CLEANED_AT_ONCE: Final = 100

PASSED_MS: Final = 60_000
"""A pod's record may be lost, and then a later item is taken first; in so long it asks again."""


@dataclass(slots=True)
class Stood:
    """One item as it stands; number: its place, higher for who came later.

    status:   those of pods, and `later` of one that waits for its next attempt.
    until_ms: when its lease or its pause ends, or it is forgotten.
    passed_ms: since when later ones have been taken before it; 0 for none.
    """

    user: str
    number: int
    round: int
    ends_ms: int
    status: str = "waiting"
    tries: int = 0
    until_ms: int = 0
    token: str = ""
    reservation_id: str = ""
    passed_ms: int = 0

    @property
    def is_here(self) -> bool:
        return self.status in {"waiting", "later", "processing"}


class Line:
    """What the records of an event make of its items; `apply` yields what pods cannot have meant.

    is_whole:  its first records are there. length_max: items that are not over.
    items:     by their ids, those that are forgotten too.
    told:      reservations that outcomes named, by item and round.
    """

    def __init__(self, *, is_whole: bool = True, length_max: int = LENGTH_MAX) -> None:
        self.items: dict[str, Stood] = {}
        self.told: dict[tuple[str, int], str] = {}
        self._is_whole = is_whole
        self._length_max = length_max
        self._here = 0
        # Whom each token was made for, and in which round that had the item.
        self._named: dict[str, str] = {}
        self._had: dict[str, int] = {}
        self._leases: list[tuple[int, str]] = []
        self._pauses: list[tuple[int, str]] = []
        self._ends: list[tuple[int, str]] = []
        self._numbers: list[tuple[int, str]] = []

    @property
    def here(self) -> int:
        """Return how many items are not over."""
        return self._here

    def apply(self, name: str, fields: dict[str, Any], number: int, now_ms: int) -> Found:
        """Have a record take effect; number: higher than of all before. now_ms: of the log."""
        match name:
            case "EnqueueItem":
                is_known = self._known(fields["item"], now_ms) is not None
                if not is_known and self._here < self._length_max:
                    self._begin(fields, 0, number, now_ms)
            case "TakeItem":
                yield from self._take(fields["item"], fields["token"], now_ms)
            case "SettleItem":
                yield from self._settle(fields, now_ms)
            case "CancelItem":
                self._cancel(fields["item"], fields["userId"], now_ms)
            case "CleanLine":
                self._clean(now_ms)
            case "RequeueItem":
                yield from self._requeue(fields, number, now_ms)
            case "RemoveItem":
                self._remove(fields["item"])

    def _take(self, item_id: str, token: str, now_ms: int) -> Found:
        if self._named.setdefault(token, item_id) != item_id:
            yield "one token for two items", f"{item_id} and {self._named[token]}"
        item = self.items.get(item_id)
        if item is None or item.status != "waiting":
            return
        if item.ends_ms <= now_ms:
            self._over(item, "expired", now_ms)
            return
        item.status, item.token, item.until_ms = "processing", token, now_ms + LEASE_MS
        item.tries += 1
        self._had[token] = item.round
        heappush(self._leases, (item.until_ms, item_id))
        yield from self._passed(item_id, item, now_ms)

    def _passed(self, item_id: str, taken: Stood, now_ms: int) -> Found:
        """Yield who stands first and is passed by others long after the first time."""
        first_id, first = self._first()
        if first is None or first.number > taken.number:
            return
        first.passed_ms = first.passed_ms or now_ms
        if now_ms - first.passed_ms > PASSED_MS:
            yield "overtaken", f"{first_id} by {item_id}"

    def _first(self) -> tuple[str, Stood | None]:
        """Return who stands first in the line; None for nobody."""
        while self._numbers:
            number, item_id = self._numbers[0]
            item = self.items[item_id]
            if item.status == "waiting" and item.number == number:
                return item_id, item
            heappop(self._numbers)
        return "", None

    def _settle(self, fields: dict[str, Any], now_ms: int) -> Found:
        item_id, token = fields["item"], fields["token"]
        item = self.items.get(item_id)
        if (token not in self._had or self._named[token] != item_id) and (item or self._is_whole):
            yield "settled and never taken", f"{item_id}: {token}"
        reservation_id = named_in(fields["outcome"]) if fields["hasOutcome"] else ""
        if reservation_id and token in self._had:
            told = self.told.setdefault((item_id, self._had[token]), reservation_id)
            if told != reservation_id:
                yield "two reservations of one item", f"{item_id}: {told} and {reservation_id}"
        if item is None or item.status != "processing" or item.token != token:
            return
        if fields["hasOutcome"]:
            item.reservation_id = reservation_id
            self._over(item, "completed", now_ms)
        elif fields["isFinal"] or item.tries > len(PAUSES_MS):
            self._over(item, "dead", now_ms)
        else:
            item.status, item.until_ms = "later", now_ms + PAUSES_MS[item.tries - 1]
            heappush(self._pauses, (item.until_ms, item_id))
            heappush(self._ends, (item.ends_ms, item_id))

    def _cancel(self, item_id: str, user: str, now_ms: int) -> None:
        item = self._known(item_id, now_ms)
        if item is not None and item.user == user and item.status in {"waiting", "later"}:
            self._over(item, "cancelled", now_ms)

    def _clean(self, now_ms: int) -> None:
        for item_id, item in self._due(self._leases, {"processing"}, now_ms):
            if item.tries > len(PAUSES_MS):
                self._over(item, "dead", now_ms)
            else:
                self._stand(item_id, item)
        for item_id, item in self._due(self._pauses, {"later"}, now_ms):
            self._stand(item_id, item)
        for _, item in self._due(self._ends, {"waiting", "later"}, now_ms):
            self._over(item, "expired", now_ms)

    def _requeue(self, fields: dict[str, Any], number: int, now_ms: int) -> Found:
        item = self._known(fields["item"], now_ms)
        if item is not None:
            # A second word of one round has no effect: its key was used.
            if item.status != "dead" or fields["round"] <= item.round:
                return
            if fields["round"] > item.round + 1:
                message = f"{fields['item']}: {fields['round']} behind {item.round}"
                yield "a round that does not follow", message
        self._begin(fields, fields["round"], number, now_ms)

    def _remove(self, item_id: str) -> None:
        item = self.items.get(item_id)
        if item is not None and item.status == "dead":
            # It is as if it had never been.
            item.until_ms = 0

    def _known(self, item_id: str, now_ms: int) -> Stood | None:
        item = self.items.get(item_id)
        is_forgotten = item is not None and not item.is_here and item.until_ms <= now_ms
        return None if is_forgotten else item

    def _begin(self, fields: dict[str, Any], round_: int, number: int, now_ms: int) -> None:
        self._here += 1
        item = Stood(fields["userId"], number, round_, now_ms + ITEM_MS)
        self.items[fields["item"]] = item
        self._stand(fields["item"], item)

    def _stand(self, item_id: str, item: Stood) -> None:
        item.status, item.token, item.until_ms, item.passed_ms = "waiting", "", 0, 0
        heappush(self._numbers, (item.number, item_id))
        heappush(self._ends, (item.ends_ms, item_id))

    def _over(self, item: Stood, status: str, now_ms: int) -> None:
        self._here -= 1
        item.status, item.token = status, ""
        item.until_ms = now_ms + (DEAD_MS if status == "dead" else KEPT_MS)

    def _due(
        self, times: list[tuple[int, str]], of: set[str], now_ms: int
    ) -> Iterator[tuple[str, Stood]]:
        """Yield who has come to a time in a heap and still stands so, the earliest first."""
        left = CLEANED_AT_ONCE
        while times and times[0][0] <= now_ms and left:
            ms, item_id = heappop(times)
            item = self.items[item_id]
            if item.status in of and ms == (
                item.ends_ms if times is self._ends else item.until_ms
            ):
                left -= 1
                yield item_id, item


def named_in(outcome: bytes | str) -> str:
    """Return the reservation that an outcome names; "?" for an outcome that is none of ours."""
    if not outcome:
        return ""
    try:
        return str(json.loads(outcome)["reservation_id"])
    except (ValueError, LookupError, TypeError):
        return "?"
