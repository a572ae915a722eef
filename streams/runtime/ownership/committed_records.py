"""Look-ups of committed records over HTTP: how an API pod finds records that it has not seen.

`state.owners.protocol` describes requests and answers. Instead of records, an answer may be:

    421  the partition is not this worker's: ask the group again
    503  not now: still restoring, set aside, changing hands, or too many look-ups at once
    400, 401, 403  malformed; a wrong token; no token is set and the address is not loopback

Only committed records are found, because stores are written after the commit; those of all keys
are as of one moment. An answer has the owner's name, which is also in the group's committed offset
as long as this worker is the owner.

RocksDB is read in threads of our own, never on the event loop; a partition's store is closed only
when no look-up reads it any more.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from aiohttp import web

from state.owners.protocol import (
    KEYS_ROUTE,
    LEFT_ALONE_ROUTE,
    LISTED_MAX,
    OWNER_HEADER,
    PROGRESS_HEADER,
    ROUTE,
    framed,
    keys_in,
    left_alone,
)
from state.stores import envelope
from state.stores.partition_state import RESERVED_PREFIX, PartitionState
from state.stores.rocksdb import StoreFull
from streams.runtime.ownership.troubles import STORE_ERRORS
from streams.runtime.transactions.input_partition import InputPartition

Place = tuple[str, int]
"""Topic and partition of an input."""

THREADS: Final = 2
UNDER_WAY_MAX: Final = 64
"""Look-ups under way, waiting for a thread or being read; a further one is answered 503."""

_PARTITION: Final = re.compile(r"[0-9]{1,9}")


class Refusal(Enum):
    """Why a look-up is not answered: HTTP status, and one word for metrics."""

    NOT_MINE = (421, "not mine")
    NOT_READY = (503, "not ready")
    BUSY = (503, "busy")


@dataclass(frozen=True, slots=True)
class Found:
    """The payloads of some keys in a store, in the order of the keys; None where it has none.

    Of a listing the keys themselves.

    progress_offset: the payloads reflect every input record below this offset.
    """

    payloads: Sequence[bytes | None]
    progress_offset: int


class CommittedRecords:
    """The stores of one generation, open to look-ups between restore and close.

    All methods are called on the event loop.

    damaged: called with a partition whose store a look-up could not read, and the error.
    """

    def __init__(
        self,
        owner: str,
        assigned: Collection[Place],
        damaged: Callable[[Place, Exception], None],
    ) -> None:
        self.owner = owner
        self._assigned = frozenset(assigned)
        self._damaged = damaged
        self._partitions: Mapping[Place, InputPartition] = {}
        self._reading: dict[Place, int] = {}
        self._has_read = asyncio.Event()

    def progress_of(self, topic: str, number: int) -> int | Refusal:
        """Return up to which offset a partition's records are committed."""
        where = topic, number
        partition = self._partitions.get(where)
        if partition is None:
            return Refusal.NOT_READY if where in self._assigned else Refusal.NOT_MINE
        return partition.committed_offset

    def open(self, partitions: Mapping[Place, InputPartition]) -> None:
        """Answer from these partitions from now on, and from no others."""
        self._partitions = partitions

    async def let_go_of(self, where: Place) -> None:
        """Return when no look-up reads a partition any more; call it once that is not open."""
        while where in self._reading:
            self._has_read.clear()
            await self._has_read.wait()

    async def close(self) -> None:
        """Answer no further look-up; returns when those under way are done."""
        self._partitions = {}
        for where in tuple(self._reading):
            await self.let_go_of(where)

    async def read(
        self, topic: str, number: int, keys: Sequence[bytes], executor: Executor
    ) -> Found | Refusal:
        """Read the records of some keys as of one moment, in a thread of the executor."""

        def look(state: PartitionState) -> Sequence[bytes | None]:
            stored = state.store.get_many(list(keys))
            return [
                None if value is None else envelope.unpack(value, state.seed)[0]
                for value in stored
            ]

        return await self._look((topic, number), look, executor)

    async def keys(
        self, topic: str, number: int, prefix: bytes, begin: bytes, executor: Executor
    ) -> Found | Refusal:
        """List the first keys from `begin` on that have a prefix."""

        def look(state: PartitionState) -> Sequence[bytes | None]:
            listed: list[bytes] = []
            for key, _ in state.store.items(begin):
                if not key.startswith(prefix) or len(listed) == LISTED_MAX:
                    break
                listed.append(key)
            return listed

        return await self._look((topic, number), look, executor)

    async def _look(
        self,
        where: Place,
        look: Callable[[PartitionState], Sequence[bytes | None]],
        executor: Executor,
    ) -> Found | Refusal:
        """Look into the store of a partition, in a thread."""
        partition = self._partitions.get(where)
        if partition is None:
            return Refusal.NOT_READY if where in self._assigned else Refusal.NOT_MINE
        if sum(self._reading.values()) >= UNDER_WAY_MAX:
            return Refusal.BUSY
        # Taken before the read: if a batch is committed meanwhile, the payloads may be newer than
        # the offset promises, and never older.
        progress_offset = partition.committed_offset
        self._reading[where] = self._reading.get(where, 0) + 1
        loop = asyncio.get_running_loop()
        reading = executor.submit(look, partition.state)
        # Not in a `finally` here: the caller may be cancelled while the thread still reads.
        reading.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done, where))
        try:
            return Found(await asyncio.wrap_future(reading), progress_offset)
        except StoreFull:
            return Refusal.NOT_READY
        except STORE_ERRORS as error:
            # Not where the partition was set aside meanwhile, and another one took its place.
            if self._partitions.get(where) is partition:
                self._damaged(where, error)
            return Refusal.NOT_READY

    def _done(self, where: Place) -> None:
        self._reading[where] -= 1
        if not self._reading[where]:
            del self._reading[where]
            self._has_read.set()


class Lookups:
    """The page that answers look-ups from the present generation.

    present: the records of the present generation; None while the worker has no partitions.
    left_alone: told a topic, returns what its route calls for nobody now: ms by destination.
    token:   what a caller must show; without one only a loopback `host` answers.
    count:   called with one word on how each look-up ended.
    """

    def __init__(
        self,
        present: Callable[[], CommittedRecords | None],
        *,
        token: str,
        host: str,
        count: Callable[[str], None],
        left_alone: Callable[[str], Mapping[str, int]] = lambda _: {},
    ) -> None:
        self._present = present
        self._left_alone = left_alone
        self._wanted = b"Bearer " + token.encode() if token else b""
        self._is_loopback = is_loopback(host)
        self._count = count
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="look-up")

    def add_to(self, pages: web.Application) -> None:
        pages.router.add_get(ROUTE, partial(self._answer, self._look_up))
        pages.router.add_get(KEYS_ROUTE, partial(self._answer, self._list_keys))
        pages.router.add_get(LEFT_ALONE_ROUTE, partial(self._answer, self._list_left_alone))

    def stop(self) -> None:
        self._executor.shutdown(wait=False)

    async def _answer(
        self,
        answer: Callable[[web.Request], Awaitable[web.Response]],
        request: web.Request,
    ) -> web.Response:
        response = self._refused(request) or await answer(request)
        self._count(response.reason or "")
        return response

    def _refused(self, request: web.Request) -> web.Response | None:
        if not self._wanted:
            return None if self._is_loopback else _said(403, "no token is set")
        # Text of any origin comes with surrogates in place of what is not UTF-8.
        shown = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        return None if hmac.compare_digest(shown, self._wanted) else _said(401, "wrong token")

    async def _look_up(self, request: web.Request) -> web.Response:
        topic, partition, text = (
            request.match_info[name] for name in ("topic", "partition", "keys")
        )
        keys = keys_in(text)
        if keys is None or _are_of_the_store(keys) or not _PARTITION.fullmatch(partition):
            return _said(400, "malformed")
        records = self._present()
        if records is None:
            return _said(*Refusal.NOT_MINE.value)
        found = await records.read(topic, int(partition), keys, self._executor)
        if isinstance(found, Refusal):
            return _said(*found.value)
        headers = _headers(records, found)
        if len(keys) > 1:
            return _said(200, "found", framed(found.payloads), headers)
        [payload] = found.payloads
        if payload is None:
            return _said(404, "absent", headers=headers)
        return _said(200, "found", payload, headers)

    async def _list_keys(self, request: web.Request) -> web.Response:
        topic, partition = request.match_info["topic"], request.match_info["partition"]
        prefix, begin = (_of_one(request.match_info[name]) for name in ("prefix", "begin"))
        is_whole = prefix and begin.startswith(prefix) and _PARTITION.fullmatch(partition)
        if not is_whole or _are_of_the_store([prefix]):
            return _said(400, "malformed")
        records = self._present()
        if records is None:
            return _said(*Refusal.NOT_MINE.value)
        found = await records.keys(topic, int(partition), prefix, begin, self._executor)
        if isinstance(found, Refusal):
            return _said(*found.value)
        return _said(200, "listed", framed(found.payloads), _headers(records, found))

    async def _list_left_alone(self, request: web.Request) -> web.Response:
        topic, partition = request.match_info["topic"], request.match_info["partition"]
        if not _PARTITION.fullmatch(partition):
            return _said(400, "malformed")
        records = self._present()
        if records is None:
            return _said(*Refusal.NOT_MINE.value)
        progress = records.progress_of(topic, int(partition))
        if isinstance(progress, Refusal):
            return _said(*progress.value)
        found = Found([left_alone(*one) for one in self._left_alone(topic).items()], progress)
        return _said(200, "listed", framed(found.payloads), _headers(records, found))


def _headers(records: CommittedRecords, found: Found) -> dict[str, str]:
    return {OWNER_HEADER: records.owner, PROGRESS_HEADER: str(found.progress_offset)}


def _of_one(text: str) -> bytes:
    """Return one key or prefix of a path; empty where it is none."""
    keys = keys_in(text) or []
    return keys[0] if len(keys) == 1 else b""


def _are_of_the_store(keys: Sequence[bytes]) -> bool:
    """Return whether one of the keys is reserved for the store itself."""
    return any(key[0] == RESERVED_PREFIX for key in keys)


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _said(
    status: int, word: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an answer; its reason phrase is the word that is counted."""
    return web.Response(
        status=status,
        reason=word,
        body=word.encode() if body is None else body,
        headers={**(headers or {}), **({"Retry-After": "1"} if status == 503 else {})},
        content_type="application/octet-stream" if body is not None else "text/plain",
    )
