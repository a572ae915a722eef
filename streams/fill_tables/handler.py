"""Purchases, allocations and slots in; rows of a back office's tables, and marks of events, out.

The tables are written before the offsets are committed: what comes again finds its marks there.
They are told of each thing by its newest word, so a word that comes late, twice, or before another
topic's changes nothing that it should not. A word that contradicts the row of its own version is a
dead letter. The handler remembers nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serdes.decoding import TopicDecoder, Undecodable
from state.records.issued.codecs import IssuingCodecs
from streams.batch import Batch, DeadLetter, Effects, Handler, State
from streams.fill_tables.words import word_of
from streams.route import RoleTopics, Route
from streams.working.answers import OURS

PURCHASES: Final = "purchase_tables"
ALLOCATIONS: Final = "allocation_tables"
SLOTS: Final = "slot_tables"
ROLES: Final = (PURCHASES, ALLOCATIONS, SLOTS)

Write = Callable[[Sequence[Any]], Awaitable[list[str]]]
"""Writes words with their marks, and says of each what is wrong with it: `Route.project`."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker has for these roles: its tables."""

    codecs: IssuingCodecs
    write: Write
    close: Callable[[], Awaitable[None]] | None = None


def route(topics: RoleTopics, setup: Setup, decoder: TopicDecoder) -> Route:
    """Return the route that tells the tables what one topic says; decoder: of the topic."""
    return Route(
        *topics.through(fill_tables(decoder)),
        owns=lambda *_: False,
        project=setup.write,
        close=setup.close,
    )


def fill_tables(decoder: TopicDecoder) -> Handler:
    """Return the handler of a topic."""

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        del state, log_time_ms
        effects = Effects()
        for record in batch.records:
            if (record.key or b"").startswith(OURS):
                # What workers send themselves.
                continue
            said = word_of(decoder, batch, record)
            if isinstance(said, Undecodable):
                effects.dead_letters.append(DeadLetter(record, said.reason, said.detail))
            elif said is not None:
                effects.projected.append((record, said))
        if effects.projected:
            effects.decisions["TOLD"] = len(effects.projected)
        return effects

    return handle
