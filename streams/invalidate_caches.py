"""New purchases in; what caches say of their buyers and events, forgotten.

Whoever keeps pages in Redis reads them anew then. That is a kindness and no promise: such a page
ends by itself, so what could not be deleted in three attempts is logged, and nobody waits for it.

Keys of the store: those of `streams.working` alone.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from serdes.decoding import Decoded
from state.records.issued.codecs import PURCHASES, Changed, Created, IssuingCodecs
from streams.intents import Intent, NotDone, Performer
from streams.route import RoleTopics, Route
from streams.settings import FIGURES, Figures
from streams.working.answers import Seal
from streams.working.events import by_record
from streams.working.inbox import Event
from streams.working.route import work_route
from streams.working.task import Failed, Task
from streams.working.work import Work, no_answer

ROLE: Final = "invalidate_caches"
CACHES: Final = "caches"
CALL_MS: Final = 5_000
_CREATED: Final = PURCHASES + "PurchaseCreated"

Forget = Callable[[Sequence[str]], Awaitable[int]]
"""Deletes these keys, and returns how many there were; raises where Redis does not answer."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker has for this role; fields as those of `allocate_purchases.Setup`."""

    codecs: IssuingCodecs
    perform: Performer
    close: Callable[[], Awaitable[None]] | None = None
    seal: Seal | None = None


def route(topics: RoleTopics, setup: Setup, figures: Figures = FIGURES) -> Route:
    """Return the route that has caches forgotten."""
    codecs = setup.codecs

    def begin(task: Task) -> None:
        said = codecs.told.decode(task.value)
        if not isinstance(said, Decoded):
            raise Failed(f"cannot be read any more: {said}")
        word = _word(said)
        task.call(CACHES, json.dumps(keys_of(word.user_id.decode(), word.event_id)).encode())

    work = Work(
        topics.role,
        topics.source,
        begin,
        no_answer,
        *figures.of(topics.role),
        is_critical=False,
        identify=by_record(codecs.told, _known_by),
        call_ms=CALL_MS,
        seal=setup.seal,
    )
    return work_route(
        work,
        **topics.written(),
        performers={CACHES: setup.perform},
        close=setup.close,
        owns=lambda *_: False,
    )


def keys_of(user: str, event_id: int) -> list[str]:
    """Return the keys under which others keep what a purchase changes."""
    return [f"user:home:{user}", f"user:tickets:{user}", f"event:availability:{event_id}"]


def performer(forget: Forget | None) -> Performer:
    """Return what performs intents for `CACHES`; forget: None where there is no Redis."""

    async def perform(intent: Intent) -> bytes:
        if forget is None:
            raise NotDone("this worker has no Redis: see REDIS_URL")
        return b"%d" % await forget(json.loads(intent.payload))

    return perform


def _word(said: Decoded) -> Created | Changed:
    return Created(*said.fields) if said.name == _CREATED else Changed(*said.fields)


def _known_by(said: Decoded, _: Event) -> Event:
    word = _word(said)
    return Event(f"{word.purchase_id.decode()}:{word.revision}")
