"""New purchases in; what the allocation service has allocated to them, out.

The service is asked for each purchase that is active and has no allocation, by an intent: its
answer is a record. A call that timed out may have succeeded; it is made again under the same key,
and the service allocates nothing twice. The allocation of a purchase ends with it, of which the
service is told in the same way, and whoever buys again gets one. Of a purchase the newest word
counts, whatever comes later.

Keys of the store, beside those of `streams.working`: `l` + purchase id: Allocation.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from schemas.topics import SEATS_ALLOCATED
from serdes.decoding import Decoded, Undecodable
from state.domain.issued.purchase import is_purchase_of, purchase_id
from state.domain.keys import ALLOCATED, buyer_key
from state.records.issued.codecs import (
    ENDED,
    KEPT,
    PURCHASES,
    Allocation,
    Changed,
    Created,
    IssuingCodecs,
    allocation_of,
    stored_allocation,
)
from streams.batch import Batch, Record
from streams.gateways.calls import HttpCalls
from streams.gateways.protocol import Unavailable, Unknown
from streams.intents import Intent, NotDone, Performer
from streams.placing import misplaced
from streams.route import RoleTopics, Route
from streams.settings import FIGURES, Figures
from streams.working.answers import Seal
from streams.working.events import Identify, by_content
from streams.working.inbox import Event
from streams.working.route import work_route
from streams.working.task import Failed, Task
from streams.working.work import Work

ROLE: Final = "allocate_purchases"
SERVICE: Final = "allocation"
CALL_MS: Final = 30_000
PATH: Final = "/v1/allocations"
PATH_OF_END: Final = f"{PATH}:end"
_END: Final = "end"
_END_OF: Final = "end_of"

# The service's client gets less time than the executor gives, so that it can say why.
_SHARE_OF_TIME: Final = 0.9
_ID_BYTES_MAX: Final = 128
_CREATED: Final = PURCHASES + "PurchaseCreated"


class ServiceTrouble(Exception):
    """The service gave no answer that could be used; nobody knows what it did.

    Operator action: look at the allocation service. It is asked again, under the same key.
    """


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker has for this role.

    perform: asks the service once. close: what performing holds open. seal: of the answers that
             are told.
    """

    codecs: IssuingCodecs
    perform: Performer
    close: Callable[[], Awaitable[None]] | None = None
    seal: Seal | None = None


def route(topics: RoleTopics, setup: Setup, figures: Figures = FIGURES) -> Route:
    """Return the route of the only writer of allocations."""
    allocate = Allocate(setup.codecs)
    work = Work(
        topics.role,
        topics.source,
        allocate.begin,
        allocate.answered,
        *figures.of(topics.role),
        identify=identified(setup.codecs),
        call_ms=CALL_MS,
        seal=setup.seal,
    )
    return work_route(
        work,
        **topics.written(),
        owns=owns,
        stored={ALLOCATED: allocation_of},
        performers={SERVICE: setup.perform},
        close=setup.close,
    )


def owns(store_key: bytes, partition: int, _partitions: int) -> bool:
    """Say whether a partition's store may have a key of this worker's own."""
    return store_key[:1] == ALLOCATED and is_purchase_of(store_key[1:], partition)


def identified(codecs: IssuingCodecs) -> Identify:
    """Return what knows an event by its purchase and revision."""

    def known_by(batch: Batch, record: Record, said: Decoded, _: Event) -> Event | Undecodable:
        word = _word(said)
        wrong = _misplaced(batch, record, word)
        return wrong or Event(f"{word.purchase_id.decode()}:{word.revision}")

    return by_content(codecs.told, known_by)


def _misplaced(batch: Batch, record: Record, word: Created | Changed) -> Undecodable | None:
    """Return why no buyer of this key and partition has this purchase; None where he has."""
    key = buyer_key(word.event_id, word.user_id)
    if wrong := misplaced(batch, record, key):
        return wrong
    if purchase_id(word.user_id, word.event_id, batch.partition).encode() != word.purchase_id:
        return Undecodable("BAD_PURCHASE", f"{word.purchase_id!r} of buyer {key!r:.100}")
    return None


def _word(said: Decoded) -> Created | Changed:
    return Created(*said.fields) if said.name == _CREATED else Changed(*said.fields)


class Allocate:
    """One attempt: ask the service, unless the purchase has its seats already."""

    def __init__(self, codecs: IssuingCodecs) -> None:
        self._codecs = codecs

    def begin(self, task: Task) -> None:
        word = self._said(task)
        key = ALLOCATED + word.purchase_id
        # Below every revision: an order of before turns were counted has 0.
        known = task.read(key, allocation_of) or Allocation(-1)
        is_end = _is_end(word)
        # Sent again after a dead letter, an end is told to the service again.
        is_told_again = is_end and word.revision == known.revision
        if word.revision <= known.revision and not is_told_again:
            # Older than what was acted on.
            return
        if is_end:
            self._end(task, word, known)
        elif known.status in KEPT:
            # It has an allocation, and a second one would violate the rule: that is success.
            task.put(key, stored_allocation(known._replace(revision=word.revision)))
        else:
            task.call(SERVICE, _request(word))

    def _end(self, task: Task, word: Created | Changed, known: Allocation) -> None:
        status = ENDED if known.allocation_id else b""
        kept = Allocation(word.revision, known.allocation_id, status)
        task.put(ALLOCATED + word.purchase_id, stored_allocation(kept))
        if known.status in KEPT:
            self._tell(task, word, kept)
        # Also where nothing was heard: a call that was given up may have allocated.
        ended = {_END_OF: word.purchase_id.decode()}
        if known.allocation_id:
            ended = {_END: known.allocation_id.decode()}
        task.call(SERVICE, json.dumps(ended).encode())

    def answered(self, task: Task, payload: bytes) -> None:
        word = self._said(task)
        if _is_end(word):
            # The service knows it now.
            return
        allocation_id, status = _answer(payload)
        kept = Allocation(word.revision, allocation_id, status)
        task.put(ALLOCATED + word.purchase_id, stored_allocation(kept))
        self._tell(task, word, kept)

    def _tell(self, task: Task, word: Created | Changed, kept: Allocation) -> None:
        head = word.purchase_id, word.user_id, word.event_id, word.revision
        value = self._codecs.allocated(*head, kept.allocation_id, kept.status)
        task.emit(SEATS_ALLOCATED.name, task.key, value, "SEATS_ALLOCATED")

    def _said(self, task: Task) -> Created | Changed:
        said = self._codecs.told.decode(task.value)
        if not isinstance(said, Decoded):
            raise Failed(f"cannot be read any more: {said}")
        return _word(said)


def _is_end(word: Created | Changed) -> bool:
    return isinstance(word, Changed) and not word.is_active


def _request(word: Created | Changed) -> bytes:
    """Return what the service is asked, as JSON."""
    asked = {
        "purchase_id": word.purchase_id.decode(),
        "user_id": word.user_id.decode(),
        "event_id": word.event_id,
    }
    return json.dumps(asked, sort_keys=True).encode()


def _answer(payload: bytes) -> tuple[bytes, bytes]:
    """Return id and status of what was allocated; raises Failed where nothing was."""
    said: Any = json.loads(payload)
    allocation_id, status = (said.get(name) for name in ("allocation_id", "status"))
    if not isinstance(allocation_id, str) or not isinstance(status, str):
        raise Failed("an answer without allocation_id and status")
    own_id = allocation_id.encode()
    if not 1 <= len(own_id) <= _ID_BYTES_MAX:
        raise Failed(f"an allocation id of {len(own_id)} bytes")
    if status.encode() not in KEPT:
        raise Failed(f"not allocated: {status:.32}")
    return own_id, status.encode()


class AllocationService:
    """Asks the allocation service over HTTP.

    url: its address, `ADMIN_SERVICE_URL`; empty where there is none.
    """

    def __init__(self, url: str) -> None:
        self._calls = HttpCalls(url, {}) if url else None

    async def perform(self, intent: Intent) -> bytes:
        """Make one call; return the body of a 2xx answer.

        Raises NotDone where the service was not reached or sent us away, else ServiceTrouble.
        """
        if self._calls is None:
            raise NotDone("this worker has no allocation service: see ADMIN_SERVICE_URL")
        asked = json.loads(intent.payload)
        ended = {
            name: asked[key]
            for key, name in ((_END, "allocation_id"), (_END_OF, "purchase_id"))
            if key in asked
        }
        said = await self._calls.ask(
            "POST",
            PATH_OF_END if ended else PATH,
            _SHARE_OF_TIME * intent.call_ms / 1000,
            body=ended or asked,
            headers={"Idempotency-Key": intent.idempotency_key},
        )
        if isinstance(said, Unavailable):
            raise NotDone(said.why, int(said.retry_after_s * 1000))
        if isinstance(said, Unknown):
            raise ServiceTrouble(said.why)
        if ended and said.status == HTTPStatus.NOT_FOUND:
            # What is not there has ended.
            return said.content
        if not 200 <= said.status < 300:
            raise ServiceTrouble(f"status {said.status}")
        return said.content

    async def close(self) -> None:
        if self._calls is not None:
            await self._calls.close()
