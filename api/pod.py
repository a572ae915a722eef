"""The parts of one API pod, started and stopped together; every handler is given the pod.

A test builds a pod of the parts that it needs; whoever asks for one that is not there fails.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar

from api import pod_readings
from api.access.identity import TokenVerifier
from api.access.ticket_keys import TicketKeys
from api.access.tokens import KeySet
from api.admission.desk import WaitingDesk
from api.admission.passes import Passes
from api.admission.promoter import Promoter, supply_of
from api.admission.turns import TurnLog
from api.commands.cart_desk import CartDesk
from api.commands.desk import FAILPOINTS, CommandDesk
from api.commands.payment_desk import PaymentDesk
from api.part import Closing, Part, closed, started
from api.settings import ApiSettings
from api.sweeper import LockSweeper
from api.web.logs import log
from api.web.metrics import ApiMetrics
from api.web.waits import CERTAIN_S, WAITS_MAX, Waits
from infra.process.failpoints import Failpoints
from infra.process.metrics import Reading
from schemas.topics import (
    CART_COMMANDS,
    EVENTS,
    PAYMENT_COMMANDS,
    RESERVATION_OUTCOMES,
    SECTION_COMMANDS,
    WAITING_TURNS,
)
from serdes.registry.ids import SchemaIds
from serdes.schema_source import SchemaSource
from state.kafka.command_log import CommandLog
from state.kafka.schema_id_log import SchemaIdLog
from state.owners.lookup import OwnerLookup
from state.redis.idempotency import IdempotencyKeys
from state.redis.policy import check_policy_at
from state.redis.pre_lock import PreLocks
from state.redis.rate_limit import RateLimits
from state.views.availability.statuses import SectionStatuses
from state.views.availability.view import AvailabilityView
from state.views.events.catalogue import EventCatalogue, Events
from state.views.following.live import Live
from state.views.outcomes.feed import OutcomeFeed
from state.views.seat_maps import SeatMapCache
from streams.gateways.registry import opened

_BY_THEMSELVES: Final = frozenset({"descriptions", "payments", "carts", "turns"})
"""What is appended to for some requests only, by the part."""

PartT = TypeVar("PartT")
MadeT = TypeVar("MadeT")


class PartAbsent(AssertionError):
    """A handler asked for a part that this pod was built without.

    Operator action: none; a mistake of ours.
    """


class _Part(Generic[PartT]):
    """A part as handlers are given it; raises PartAbsent in a pod without."""

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name
        self._kept_as = f"_{name}"

    def __get__(self, pod: "Pod", _: type) -> PartT:
        part: PartT | None = getattr(pod, self._kept_as)
        if part is None:
            raise PartAbsent(f"this pod has no {self._name}")
        return part


class Pod:
    """One process' parts.

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
    limits:    rate limits; none at all in a pod that is given none.
    pre_locks: locks of chosen seats; none at all in a pod that is given none.
    waits:     requests that wait for a reservation, an event or a seat map.
    unlimited: events that nobody has described when a section of theirs was open: none of them
               limits its buyers.
    sweeper:   looks for locks of holds that are over.
    waiting:   waiting rooms; those of its settings in a pod that is given none.
    draining:  set once the pod was told to end: streams end then, long polls answer.
    failed:    set once the pod must end by itself; why is in the log.
    """

    view = _Part[SectionStatuses]()
    outcomes = _Part[OutcomeFeed]()
    commands = _Part[CommandLog]()
    desk = _Part[CommandDesk]()
    owners = _Part[OwnerLookup]()
    issued = _Part[OwnerLookup]()
    seat_maps = _Part[SeatMapCache]()
    catalogue = _Part[Events]()
    descriptions = _Part[CommandLog]()
    ids = _Part[SchemaIds]()
    payments = _Part[PaymentDesk]()
    carts = _Part[CartDesk]()

    def __init__(
        self,
        settings: ApiSettings,
        *,
        verifier: TokenVerifier | None = None,
        view: SectionStatuses | None = None,
        outcomes: OutcomeFeed | None = None,
        commands: CommandLog | None = None,
        desk: CommandDesk | None = None,
        owners: OwnerLookup | None = None,
        issued: OwnerLookup | None = None,
        catalogue: Events | None = None,
        descriptions: CommandLog | None = None,
        ids: SchemaIds | None = None,
        payments: PaymentDesk | None = None,
        carts: CartDesk | None = None,
        limits: RateLimits | None = None,
        pre_locks: PreLocks | None = None,
        sweeper: LockSweeper | None = None,
        waiting: WaitingDesk | None = None,
        metrics: ApiMetrics | None = None,
    ) -> None:
        self.settings = settings
        self.verifier = verifier or TokenVerifier(
            KeySet(settings.jwks), settings.jwt_audience, settings.jwt_issuer
        )
        self.limits = limits or RateLimits("")
        self.unlimited: set[int] = set()
        self.pre_locks = pre_locks or PreLocks("", 0)
        self.ticket_keys = TicketKeys(settings.ticket_key, settings.old_ticket_key)
        self.waiting = (waiting or _rooms(settings, view, ids)).where(self.demands_admission)
        self.metrics = metrics or ApiMetrics(settings.revision)
        self.has_started = False
        self._is_stopped = False
        self.draining = asyncio.Event()
        self.waits = Waits(WAITS_MAX)
        self.failed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._made: dict[Callable[[Pod], Any], Any] = {}
        self.started_s = time.monotonic()
        self._view = view
        self._outcomes = outcomes
        self._commands = commands
        self._desk = desk
        self._owners = owners
        if desk is not None:
            desk.partitions_fault = self.partitions_fault
        self._seat_maps = (
            SeatMapCache(owners, view, outcomes, CERTAIN_S)
            if owners and view and outcomes
            else None
        )
        self._issued = issued
        self._catalogue = catalogue
        self._descriptions = descriptions
        self._ids = ids
        self._payments = payments
        self._sweeper = sweeper
        self._carts = carts
        self.metrics.read_from(self._readings)

    @classmethod
    def of(cls, settings: ApiSettings) -> Self:
        """Build a pod of all parts, connected to nothing yet.

        Raises as `SchemaSource.ids`, as `opened` of its gateways, and as `Passes.read`.
        """
        brokers, kafka = settings.brokers, settings.kafka.librdkafka()
        cache = settings.cache_dir / "schema-ids.json"
        schemas = SchemaSource(settings.registry_url, cache, SchemaIdLog(brokers, kafka=kafka))
        outcomes = OutcomeFeed(brokers, schemas=schemas, kafka=kafka)
        commands = CommandLog(brokers, kafka=kafka)
        owners = OwnerLookup(
            brokers,
            settings.app_id,
            settings.lookup_token,
            kafka=settings.kafka.aiokafka(),
            decided=outcomes.decided,
        )
        metrics = ApiMetrics(settings.revision)
        pod = cls(
            settings,
            view=_view_of(settings, schemas),
            outcomes=outcomes,
            commands=commands,
            desk=CommandDesk(
                schemas.ids(),
                commands,
                outcomes,
                metrics,
                in_flight_max=settings.in_flight_max,
                keys=IdempotencyKeys(settings.redis_url),
                failpoints=Failpoints.from_env(os.environ, FAILPOINTS),
            ),
            catalogue=EventCatalogue(brokers, schemas=schemas, kafka=kafka),
            descriptions=CommandLog(brokers, topic=EVENTS.name, kafka=kafka),
            ids=schemas.ids(),
            payments=PaymentDesk(
                schemas.ids(),
                CommandLog(brokers, topic=PAYMENT_COMMANDS.name, kafka=kafka),
                opened(settings.gateways, os.environ),
            ),
            carts=CartDesk(
                schemas.ids(), CommandLog(brokers, topic=CART_COMMANDS.name, kafka=kafka)
            ),
            owners=owners,
            issued=OwnerLookup(
                brokers,
                settings.purchases_group,
                settings.lookup_token,
                kafka=settings.kafka.aiokafka(),
            ),
            limits=RateLimits(settings.redis_url),
            pre_locks=PreLocks(settings.redis_url, settings.pre_lock_ms),
            sweeper=LockSweeper(settings.redis_url, outcomes, owners),
            metrics=metrics,
        )
        schemas.told = pod.fail
        return pod

    async def start(self) -> None:
        """Start every part; raises KeysUnavailable, Evicts. What needs brokers goes on trying."""
        self._loop = asyncio.get_running_loop()
        await self.verifier.start()
        if self.settings.redis_url:
            await asyncio.to_thread(check_policy_at, self.settings.redis_url)
        for part in self._parts():
            await started(part)
        self.has_started = True
        log.info("started with %s", ", ".join(type(part).__name__ for part in self._parts()))

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
        if self._outcomes is not None:
            self._outcomes.end_waits()

    async def stop(self) -> None:
        """Stop every part; a pod that is stopped stays so."""
        if self._is_stopped:
            return
        self._is_stopped = True
        parts: list[Closing] = [*self._parts(), self.limits, self.pre_locks, self.verifier]
        if self._desk is not None:
            parts.append(self._desk)
        # Together: each may wait for brokers that are gone, and no request needs another any more.
        ends = await asyncio.gather(*map(closed, parts), return_exceptions=True)
        for part, ended in zip(parts, ends, strict=True):
            if isinstance(ended, Exception):
                log.error("%s did not close", type(part).__name__, exc_info=ended)

    def made(self, kind: Callable[["Pod"], MadeT]) -> MadeT:
        """Return what handlers make of the parts, such as look-ups; made when first asked for."""
        made: MadeT | None = self._made.get(kind)
        if made is None:
            made = self._made[kind] = kind(self)
        return made

    def readiness(self) -> dict[str, bool]:
        """Say of each part that has to read something first whether it has."""
        parts = {**self._followed(), **self._logs()}
        ready = {name: part.is_ready() for name, part in parts.items()}
        ready["keys"] = self.verifier.is_ready
        ready["partitions"] = not self.partitions_fault()
        if self.draining.is_set():
            ready["not draining"] = False
        return ready

    def is_ready(self) -> bool:
        """Say whether requests may come: whoever needs a topic that is missing is told so himself.

        Until it is known to be missing, a pod that starts waits for it.
        """
        missing = _BY_THEMSELVES & self.troubles().keys()
        return all(ready for name, ready in self.readiness().items() if name not in missing)

    def troubles(self) -> dict[str, str]:
        """Say why a topic cannot be followed, or appended to, now, by part.

        Answers grow old meanwhile, and what nobody can append is refused. Or why nobody is let in
        from waiting rooms.
        """
        parts = {**self._followed(), **self._logs()}
        told = {name: part.trouble for name, part in parts.items()}
        if self.waiting.promoter is not None:
            told["waiting rooms"] = self.waiting.promoter.trouble
        return {name: trouble for name, trouble in told.items() if trouble}

    def partitions_fault(self) -> str:
        """Say why sections may have two writers: topics with other partitions than at first.

        Operator action, named in the text: workers refuse it too, and nothing is sold meanwhile.
        """
        commands, outcomes = self._commands, self._outcomes
        told, view = "", self._view
        if commands is not None and outcomes is not None and commands.is_ready():
            counts = commands.partitions, outcomes.partitions
            if outcomes.is_ready() and counts[0] != counts[1]:
                told = (
                    f"{SECTION_COMMANDS.name} had {counts[0]} partitions when this pod started, "
                    f"{RESERVATION_OUTCOMES.name} has {counts[1]}"
                )
        if not told and view is not None:
            told = view.misplaced() and f"{self.settings.status_topic}: {view.misplaced()}"
        if not told:
            return ""
        return (
            f'{told}. Partitions are never added to a topic of the seats. See "Partitions were '
            'added" in docs/operations.md'
        )

    def demands_admission(self, event_id: int) -> bool:
        """Say whether an event, as far as this pod knows of it, demands that buyers are let in."""
        event = None if self._catalogue is None else self._catalogue.get(event_id)
        return event is not None and event.admission_required

    def ended(self) -> dict[str, str]:
        """Return what ended each part that can do nothing any more, by the part."""
        # A view that a test feeds by hand has no thread that could end.
        followed = self._followed().items()
        failures = {name: part.failure for name, part in followed if isinstance(part, Live)}
        return {name: type(error).__name__ for name, error in failures.items() if error}

    def _followed(self) -> dict[str, SectionStatuses | OutcomeFeed | Events]:
        named = {"view": self._view, "outcomes": self._outcomes, "catalogue": self._catalogue}
        return {name: part for name, part in named.items() if part is not None}

    def _logs(self) -> dict[str, CommandLog]:
        """Return what is appended to: what a part of a test does in its place has no brokers."""
        payments = None if self._payments is None else self._payments.log
        carts = None if self._carts is None else self._carts.log
        named = {
            "commands": self._commands,
            "descriptions": self._descriptions,
            "payments": payments,
            "carts": carts,
            "turns": None if self.waiting.turns is None else self.waiting.turns.log,
        }
        return {name: log for name, log in named.items() if isinstance(log, CommandLog)}

    def _parts(self) -> list[Part]:
        followed = self._followed().values()
        appended = self._commands, self._descriptions, self._payments, self._carts
        parts = (*followed, *appended, self._owners, self._issued, self._sweeper, self.waiting)
        return [part for part in parts if isinstance(part, Part)]

    def _readings(self) -> Iterator[Reading]:
        yield ApiMetrics.troubles, len(self.troubles())
        yield from pod_readings.of_requests(self.limits, self.verifier)
        yield from pod_readings.of_pre_locks(self.pre_locks)
        yield from pod_readings.of_waiting(self.waiting)
        readings: tuple[tuple[Any, Callable[[Any], Iterable[Reading]]], ...] = (
            (self._view, pod_readings.of_view),
            (self._outcomes, pod_readings.of_outcomes),
            (self._seat_maps, pod_readings.of_seat_maps),
            (self._catalogue, pod_readings.of_events),
            (self._desk, pod_readings.of_desk),
            (self._sweeper, pod_readings.of_sweeper),
            (self.waiting.promoter, pod_readings.of_promoter),
        )
        for appended in self._logs().values():
            yield from pod_readings.of_log(appended)
        for part, of_part in readings:
            if part is not None:
                yield from of_part(part)


def _rooms(
    settings: ApiSettings, view: SectionStatuses | None, ids: SchemaIds | None
) -> WaitingDesk:
    """Return the waiting rooms of a pod; without keys there are none. Raises as `Passes.read`.

    view: tells what can be bought; nobody is let in without one. ids: of what is written down.
    """
    keys, url = settings.admission_keys, settings.redis_url
    passes = Passes.read(Path(keys)) if keys else None
    if view is None:
        return WaitingDesk(url, passes)
    kafka, turns = settings.kafka.librdkafka(), None
    if passes is not None and ids is not None:
        turns = TurnLog(CommandLog(settings.brokers, topic=WAITING_TURNS.name, kafka=kafka), ids)
    members = 0 if passes is None else settings.promoters
    promoter = Promoter(url, supply_of(view), members=members, turns=turns)
    return WaitingDesk(url, passes, promoter, turns)


def _view_of(settings: ApiSettings, schemas: SchemaSource) -> AvailabilityView:
    """Return the pod's view of the statuses."""
    return AvailabilityView(
        settings.brokers,
        topic=settings.status_topic,
        schemas=schemas,
        stale_after_ms=settings.stale_after_ms,
        kafka=settings.kafka.librdkafka(),
    )
