"""One API pod: its parts, started and stopped together; every handler is given the pod.

The pod knows no part. `api.building` makes the parts; handlers ask for one by its name, and a part
that a test has left out fails whoever asks for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from api.access.identity import TokenVerifier
from api.access.ticket_keys import TicketKeys
from api.admission.desk import WaitingDesk
from api.commands.cart_desk import CartDesk
from api.commands.desk import CommandDesk
from api.commands.payment_desk import PaymentDesk
from api.parts.booking import BookingDesk
from api.parts.part import Part
from api.parts.partitions import Partitions
from api.settings import ApiSettings
from api.web.logs import log
from api.web.metrics import ApiMetrics
from api.web.waits import WAITS_MAX, Waits
from infra.process.metrics import Reading
from serdes.registry.ids import SchemaIds
from state.kafka.command_log import CommandLog
from state.owners.lookup import OwnerLookup
from state.redis.pre_lock import PreLocks
from state.redis.rate_limit import RateLimits
from state.views.availability.statuses import SectionStatuses
from state.views.events.catalogue import Events
from state.views.outcomes.feed import OutcomeFeed
from state.views.seat_maps import SeatMapCache

GivenT = TypeVar("GivenT")
MadeT = TypeVar("MadeT")


class PartAbsent(AssertionError):
    """A handler asked for a part that this pod was built without.

    Operator action: none; a mistake of ours.
    """


class _Named(Generic[GivenT]):
    """A part, under its own name, as handlers are given it; raises PartAbsent in a pod without."""

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, pod: "Pod", _: type) -> GivenT:
        try:
            given: GivenT = pod.given[self._name]
        except KeyError:
            raise PartAbsent(f"this pod has no {self._name}") from None
        return given


class Pod:
    """The parts of one process, and what is true of the process as a whole.

    view:      the availability of every section.
    outcomes:  committed outcomes, and who waits for one.
    commands:  where commands are appended.
    desk:      where handlers hand commands in and get outcomes.
    owners:    committed records of the partitions' owners.
    issued:    those of the workers that issue purchases, which are another group.
    seat_maps: maps of sections that are asked for often.
    catalogue: what is known of every event.
    descriptions: where changes of events are appended.
    payments:  where the payments role is told something, and what gateways send is believed.
    carts:     where the carts role is told what buyers want of several sections.
    ids:       schema ids that records are written with.
    verifier:  who asks, by the token that a request shows.
    limits:    rate limits.
    pre_locks: locks of chosen seats.
    waiting:   waiting rooms.
    booking:   the booking queue.
    ticket_keys: what tickets are signed with.
    partitions: says why sections may have two writers; mostly nothing.

    given:     what handlers get of each part, by its name.
    waits:     requests that wait for a reservation, an event or a seat map.
    unlimited: events that nobody has described when a section of theirs was open: none of them
               limits its buyers.
    draining:  set once the pod was told to end: streams end then, long polls answer.
    failed:    set once the pod must end by itself; why is in the log.
    """

    # Names and types for handlers; what each part does stands with the part.
    view = _Named[SectionStatuses]()
    outcomes = _Named[OutcomeFeed]()
    commands = _Named[CommandLog]()
    desk = _Named[CommandDesk]()
    owners = _Named[OwnerLookup]()
    issued = _Named[OwnerLookup]()
    seat_maps = _Named[SeatMapCache]()
    catalogue = _Named[Events]()
    descriptions = _Named[CommandLog]()
    ids = _Named[SchemaIds]()
    payments = _Named[PaymentDesk]()
    carts = _Named[CartDesk]()
    verifier = _Named[TokenVerifier]()
    limits = _Named[RateLimits]()
    pre_locks = _Named[PreLocks]()
    waiting = _Named[WaitingDesk]()
    booking = _Named[BookingDesk]()
    ticket_keys = _Named[TicketKeys]()
    partitions = _Named[Partitions]()

    def __init__(self, settings: ApiSettings, metrics: ApiMetrics, *parts: Part) -> None:
        """Make a pod of parts, which are started in this order."""
        self.settings = settings
        self.metrics = metrics
        self._parts = parts
        self.given: Mapping[str, Any] = {part.name: part.given for part in parts}
        self.unlimited: set[int] = set()
        self.waits = Waits(WAITS_MAX)
        self.draining = asyncio.Event()
        self.failed = asyncio.Event()
        self.started_s = time.monotonic()
        self.has_started = False
        self._is_stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._made: dict[Callable[[Pod], Any], Any] = {}
        metrics.read_from(self._readings)

    async def start(self) -> None:
        """Start every part; raises KeysUnavailable, Evicts. What needs brokers goes on trying."""
        self._loop = asyncio.get_running_loop()
        for part in self._parts:
            await part.start()
        self.has_started = True
        log.info("started with %s", ", ".join(part.name for part in self._parts))

    def fail(self, error: Exception) -> None:
        """End the process soon: it must not go on. Any thread may call it, after `start`."""
        log.error("this pod must end: %s: %s", type(error).__name__, error)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.failed.set)

    def drain(self) -> None:
        """Say not ready from now on; `draining` tells whoever holds a connection open."""
        self.draining.set()

    def end_waits(self) -> None:
        """Have everybody who waits for an outcome answered now; the pod stops to listen next."""
        for part in self._parts:
            part.end_waits()

    async def stop(self) -> None:
        """Stop every part; a pod that is stopped stays so."""
        if self._is_stopped:
            return
        self._is_stopped = True
        # Together: each may wait for brokers that are gone, and no request needs another any more.
        closing = [part.close() for part in self._parts]
        ends = await asyncio.gather(*closing, return_exceptions=True)
        for part, ended in zip(self._parts, ends, strict=True):
            if isinstance(ended, Exception):
                log.error("%s did not close", part.name, exc_info=ended)

    def made(self, kind: Callable[["Pod"], MadeT]) -> MadeT:
        """Return what handlers make of the parts, such as look-ups; made when first asked for."""
        made: MadeT | None = self._made.get(kind)
        if made is None:
            made = self._made[kind] = kind(self)
        return made

    def readiness(self) -> dict[str, bool]:
        """Say of each part that has to read something first whether it has."""
        ready = {
            name: is_ready for part in self._parts for name, is_ready in part.readiness().items()
        }
        if self.draining.is_set():
            ready["not draining"] = False
        return ready

    def is_ready(self) -> bool:
        """Say whether requests may come: whoever needs a topic that is missing is told so himself.

        Until it is known to be missing, a pod that starts waits for it.
        """
        optional = {name for part in self._parts if part.is_optional for name in part.readiness()}
        missing = optional & self.troubles().keys()
        return all(ready for name, ready in self.readiness().items() if name not in missing)

    def troubles(self) -> dict[str, str]:
        """Say why a topic cannot be followed, or appended to, now, by part.

        Answers grow old meanwhile, and what nobody can append is refused. Or why nobody is let in
        from waiting rooms.
        """
        told = [part.troubles() for part in self._parts]
        return {name: why for troubles in told for name, why in troubles.items() if why}

    def ended(self) -> dict[str, str]:
        """Return what ended each part that can do nothing any more, by the part."""
        return {name: why for part in self._parts for name, why in part.ended().items()}

    def _readings(self) -> Iterator[Reading]:
        yield ApiMetrics.troubles, len(self.troubles())
        for part in self._parts:
            yield from part.readings()
