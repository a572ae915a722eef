"""The ids of a record go on to all that it leads to, as headers of what is published at its turn.

Only what a record itself leads to is followed: what becomes due there was caused before. Batches
whose records have no headers pass here by, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from infra.process.record_ids import Headers, followed
from streams.batch import Record, Told
from streams.folding.fold import Fold

Turn = TypeVar("Turn", bound=tuple[Record, *tuple[Any, ...]])


def each_followed(fold: Fold, turns: Iterable[Turn]) -> Iterator[Turn]:
    """Give each turn; what the fold publishes before the next one gets the ids of its record.

    turns: tuples that begin with the record. Whatever is published to find the next turn, such as
           what has become due, follows from nothing.
    """
    outcomes, outgoing = fold.outcomes, fold.effects.outgoing
    for turn in turns:
        headers = turn[0].headers
        cause = followed(headers) if headers else ()
        if not cause:
            yield turn
            continue
        fold.cause = cause
        fold.mark()
        yield turn
        fold.cause = ()
        _hand_on(outcomes, fold.uncaused, cause)
        if outgoing:
            for topic, told in outgoing.items():
                _hand_on(told, fold.uncaused_in.get(topic, 0), cause)


def _hand_on(told: list[Told], first: int, headers: Headers) -> None:
    """Give headers to the records of a list, from index `first` on, that have none."""
    for at in range(first, len(told)):
        if len(record := told[at]) == 2:
            told[at] = (*record, headers)
