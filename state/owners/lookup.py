"""Finds committed records at the worker that owns their partition, for what a pod has not seen.

A pod sees every outcome since it started, and asks here for what is older. Whoever owns a
partition says so beside the group's committed offset, with the address of its look-ups
(`owner_name`); so the group is the directory, and nothing has to be registered or expired.

    lookup = OwnerLookup(brokers, "seatstream-seats", token)
    await lookup.start()
    held = await lookup.reservation(partition, b"...")      # None: there is no such reservation

Three answers are told apart: the record, or None when the owner has none; `OwnerNotReady` while
the owner restores or the partition changes hands; `OwnerUnreachable` when nobody can be asked.

Owners write their stores after the commit, and a former owner that does not know yet that it was
replaced answers for up to `DIRECTORY_AGE_S` from what it had committed. So an answer counts only
where the owner's progress covers every decision that this pod knows of the partition: whoever was
told an outcome is never told by an owner that there was none. Nor may an answer be older than one
that was taken in the last `SHOWN_S`: of topics whose decisions a pod does not follow, that alone
keeps what it shows from going back in time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Self
from weakref import WeakValueDictionary

import aiohttp

from schemas.topics import SECTION_COMMANDS
from serdes.avro.stored import stored_decoder
from state.domain.keys import LAYOUT, RESERVATION, SECTION
from state.domain.layout import Layout, Plan
from state.domain.reservation import Reservation
from state.owners.directory import NO_ARGUMENTS, CommittedOwners, Directory, Group
from state.owners.name import address_of
from state.owners.protocol import PROGRESS_HEADER, left_alone_in
from state.owners.questions import (
    OwnerNotReady,
    OwnersBusy,
    OwnerUnreachable,
    Question,
    body_of,
    payloads_in,
)
from state.records.names import SectionLayout, SectionState
from state.records.reservation import reservation_of
from state.records.section import plan_of

DIRECTORY_AGE_S: Final = 2.0
"""Who owns what is asked anew after this long, while look-ups arrive."""

SHOWN_S: Final = 60.0
"""So long an answer that was taken lets none follow that is older. No zombie answers for as long;
a log that was restored to before is believed after it."""

PATIENCE_S: Final = 1.0
ATTEMPT_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.2
_CONNECTIONS_PER_OWNER: Final = 16

_STATE: Final = "io.seatstream.state."


class _Shown(NamedTuple):
    """How far an owner had come whose answer was taken, and when, by the loop's clock."""

    progress: int
    at_s: float


class _Line:
    """Who is being asked at one owner: so many at once, the others wait for their turn."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(_CONNECTIONS_PER_OWNER)
        self.answered_s = float("-inf")


class SectionRecords(NamedTuple):
    """What is stored of a section and buyers may see, as of one moment.

    plan:   as it was opened, with the sale window as it is now.
    layout: its shape; free: one bitmap a row, bit i is 1 while seat i is free.
    """

    plan: Plan
    layout: Layout
    version: int
    changed_at_ms: int
    free: tuple[int, ...]


class OwnerLookup:
    """Looks records up at their owners; all methods belong to one loop.

    group:      consumer group of the workers, their SEATSTREAM_APP_ID.
    token:      their SEATSTREAM_LOOKUP_TOKEN.
    kafka:      further arguments of aiokafka, such as for TLS and SASL.
    patience_s: how long one look-up goes on while owners are not ready or cannot be reached.
    decided:    told a partition of `section-commands`, returns the offset behind the last command
                whose decision this pod knows.
    shown_s:    for how long no answer may be older than one that was taken.
    """

    def __init__(
        self,
        brokers: str,
        group: str,
        token: str = "",
        *,
        kafka: Mapping[str, Any] = NO_ARGUMENTS,
        patience_s: float = PATIENCE_S,
        decided: Callable[[int], int] = lambda _: 0,
        directory: Group | None = None,
        shown_s: float = SHOWN_S,
    ) -> None:
        self._group = directory or CommittedOwners(brokers, group, kafka)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._patience_s = patience_s
        self._decided = decided
        self._directory = Directory({}, float("-inf"))
        self._shown_s = shown_s
        self._shown: dict[tuple[str, int], _Shown] = {}
        self._reading: asyncio.Task[Directory] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()
        self._counts: Counter[str] = Counter()
        self._read_reservation = stored_decoder(_STATE + "Reservation")
        self._read_layout = stored_decoder(_STATE + "SectionLayout")
        self._read_section = stored_decoder(_STATE + "SectionState")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Make ready to ask on the loop that runs; nobody is contacted before a look-up."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit_per_host=_CONNECTIONS_PER_OWNER),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_S),
            # A proxy of the environment has no business between a pod and its workers.
            trust_env=False,
        )

    async def close(self) -> None:
        """End what is being asked, and all connections; safe to repeat."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self._group.close()

    def statistics(self) -> dict[str, int]:
        """Return counts since the start: how look-ups ended, attempts, directory readings."""
        return dict(self._counts)

    # --- what a pod asks for ---------------------------------------------------------------

    async def reservation(self, partition: int, reservation_id: bytes) -> Reservation | None:
        """Return a reservation of a partition of `section-commands`."""
        key = RESERVATION + reservation_id
        stored = await self.get(SECTION_COMMANDS.name, partition, key)
        return None if stored is None else reservation_of(self._read_reservation(stored, 0))

    async def section(self, partition: int, section_key: bytes) -> SectionRecords | None:
        """Return what is stored of an open section."""
        keys = [tag + section_key for tag in (LAYOUT, SECTION)]
        layout_record, state = await self.get_many(SECTION_COMMANDS.name, partition, keys)
        if layout_record is None or state is None:
            return None
        plan = plan_of(SectionLayout._make(self._read_layout(layout_record, 0)))
        layout = Layout.of(plan.rows)
        stands = SectionState._make(self._read_section(state, 0))
        free = tuple(layout.unpack(stands.free))
        return SectionRecords(plan, layout, stands.version, stands.changed_at_ms, free)

    async def get(self, topic: str, partition: int, store_key: bytes) -> bytes | None:
        """Return the committed payload of one store key, or None where there is none.

        topic, partition: of the owner's input. Raises OwnerNotReady, OwnerUnreachable, OwnersBusy.
        """
        [payload] = await self.get_many(topic, partition, [store_key])
        return payload

    async def get_many(
        self, topic: str, partition: int, store_keys: Sequence[bytes]
    ) -> list[bytes | None]:
        """Return the committed payloads of up to eight store keys, as of one moment."""
        return await self._asked(Question(topic, partition, tuple(store_keys)))

    async def keys(self, topic: str, partition: int, prefix: bytes, begin: bytes) -> list[bytes]:
        """Return the first store keys, `LISTED_MAX` at most, from `begin` on that have a prefix.

        begin: has the prefix itself. Raises as `get`.
        """
        listed = await self._asked(Question(topic, partition, (prefix, begin), is_listing=True))
        return [key for key in listed if key is not None]

    async def left_alone(self, topic: str, partition: int) -> dict[str, int]:
        """Return what the owner calls for nobody now, and for how many ms still, by destination.

        topic, partition: of the owner's input. Raises as `get`, after one attempt: who asks this
        goes on without an answer.
        """
        told = await self._asked(Question(topic, partition, ()), 0.0)
        found = [None if payload is None else left_alone_in(payload) for payload in told]
        if None in found:
            raise OwnerUnreachable(f"the owner of {topic}-{partition} names no destinations")
        return dict(one for one in found if one is not None)

    # --- inside ----------------------------------------------------------------------------

    async def _asked(
        self, question: Question, patience_s: float | None = None
    ) -> list[bytes | None]:
        """Ask the owner of a partition until it answers, or patience is over; ours by default."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + (self._patience_s if patience_s is None else patience_s)
        pause_s = _FIRST_PAUSE_S
        newer_than_s = loop.time() - DIRECTORY_AGE_S
        is_of_seats = question.topic == SECTION_COMMANDS.name
        least = self._decided(question.partition) if is_of_seats else 0
        shown = self._shown.get((question.topic, question.partition))
        if shown is not None and loop.time() - shown.at_s < self._shown_s:
            least = max(least, shown.progress)
        while True:
            asked_at_s = loop.time()
            try:
                payloads = await self._attempt(question, least, newer_than_s)
            except (OwnerNotReady, OwnerUnreachable) as error:
                if loop.time() + pause_s > until_s:
                    self._counts[type(error).__name__] += 1
                    raise
                await asyncio.sleep(pause_s)
            else:
                self._counts["answered"] += 1
                return payloads
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            # Somebody else may own it by now.
            newer_than_s = asked_at_s

    async def _attempt(
        self, question: Question, least: int, newer_than_s: float
    ) -> list[bytes | None]:
        directory = await self._directory_since(newer_than_s)
        place = question.topic, question.partition
        owner = directory.owner_by_place.get(place, "")
        address = address_of(owner)
        if not address:
            raise OwnerUnreachable(f"{place[0]}-{place[1]}: no owner with an address ({owner!r})")
        assert self._session is not None, "not started"
        url = f"http://{address}{question.path}"
        line = self._lines.setdefault(address, _Line())
        async with self._turn(line, owner):
            self._counts["attempts"] += 1
            try:
                async with self._session.get(url, allow_redirects=False) as answer:
                    body = await body_of(answer)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise OwnerUnreachable(f"{owner} does not answer: {error!r}") from error
            line.answered_s = asyncio.get_running_loop().time()
        payloads = payloads_in(owner, answer.status, answer.headers, body, question.count, least)
        self._note_shown(place, int(answer.headers[PROGRESS_HEADER]))
        return payloads

    def _note_shown(self, place: tuple[str, int], progress: int) -> None:
        now_s = asyncio.get_running_loop().time()
        before = self._shown.get(place, _Shown(0, 0.0))
        is_held = now_s - before.at_s < self._shown_s
        self._shown[place] = _Shown(max(progress, before.progress * is_held), now_s)

    @asynccontextmanager
    async def _turn(self, line: _Line, owner: str) -> AsyncIterator[None]:
        """Hold one of an owner's turns; the wait for it is none of the time that it has to answer.

        Raises OwnersBusy where others were answered meanwhile, else OwnerUnreachable.
        """
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(ATTEMPT_S):
                await line.turns.acquire()
        except TimeoutError:
            if line.answered_s < began_s:
                raise OwnerUnreachable(f"{owner} answers nobody") from None
            self._counts["busy"] += 1
            raise OwnersBusy(f"{owner} is asked for more than it answers") from None
        try:
            yield
        finally:
            line.turns.release()

    async def _directory_since(self, newer_than_s: float) -> Directory:
        """Return a directory that was read after a moment; all who wait share one reading."""
        while self._directory.read_at_s < newer_than_s:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read_directory(), name="directory")
            # Whoever goes away takes nothing from the others.
            self._directory = await asyncio.shield(self._reading)
        return self._directory

    async def _read_directory(self) -> Directory:
        began_s = asyncio.get_running_loop().time()
        self._counts["directory"] += 1
        return Directory(await self._group.owners(), began_s)
