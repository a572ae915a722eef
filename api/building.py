"""Makes the parts of a pod of its settings.

    whole_pod(settings)              a pod of all parts, connected to nothing yet
    pod_of(settings, view=view, …)   a pod of what a test gives, and of what needs nobody

A new part is a class that is a `Part`, and a line here.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

from api.access.identity import TokenVerifier
from api.access.ticket_keys import TicketKeys
from api.access.tokens import KeySet
from api.admission.desk import WaitingDesk
from api.admission.lots import RoomLots
from api.admission.passes import Passes
from api.admission.promoter import Promoter, supply_of
from api.admission.proving import LineProver
from api.admission.turns import TurnLog
from api.commands.cart_desk import CartDesk
from api.commands.desk import FAILPOINTS, CommandDesk
from api.commands.payment_desk import PaymentDesk
from api.parts.appended import AppendedPlainly
from api.parts.booking import BookingDesk, KafkaBookingDesk, RedisBookingDesk
from api.parts.followed import Followed, FollowedOutcomes, of_events, of_seat_maps, of_view
from api.parts.part import Closed, Given, Part, Running
from api.parts.partitions import Partitions
from api.parts.shared import RedisPolicy, of_limits, of_pre_locks
from api.parts.sweeper import LockSweeper
from api.pod import Pod
from api.settings import IN_KAFKA, ApiSettings
from api.web.metrics import ApiMetrics
from api.web.waits import CERTAIN_S
from infra.process.failpoints import Failpoints
from schemas.topics import BOOKING_QUEUE, CART_COMMANDS, EVENTS, PAYMENT_COMMANDS, WAITING_TURNS
from serdes.registry.ids import SchemaIds
from serdes.schema_source import SchemaSource
from state.kafka.command_log import CommandLog
from state.kafka.schema_id_log import SchemaIdLog
from state.kafka.told_turns import ToldTurns
from state.owners.left_alone import LeftAlone
from state.owners.lookup import OwnerLookup
from state.redis.idempotency import IdempotencyKeys
from state.redis.pre_lock import PreLocks
from state.redis.rate_limit import RateLimits
from state.views.availability.statuses import SectionStatuses
from state.views.availability.view import AvailabilityView
from state.views.booking_queue.log import BookingLog
from state.views.events.catalogue import EventCatalogue, Events
from state.views.outcomes.feed import OutcomeFeed
from state.views.seat_maps import SeatMapCache
from streams.gateways.registry import opened


class Things(TypedDict, total=False):
    """What a pod can be given; what is left out is absent, or made of the settings."""

    verifier: TokenVerifier
    view: SectionStatuses
    outcomes: OutcomeFeed
    commands: CommandLog
    desk: CommandDesk
    owners: OwnerLookup
    issued: OwnerLookup
    catalogue: Events | None
    descriptions: CommandLog
    ids: SchemaIds
    payments: PaymentDesk
    carts: CartDesk
    limits: RateLimits
    pre_locks: PreLocks
    sweeper: LockSweeper
    waiting: WaitingDesk
    booking: BookingDesk
    metrics: ApiMetrics


def whole_pod(settings: ApiSettings, view: SectionStatuses | None = None) -> Pod:
    """Build a pod of all parts; `view` replaces the availability view of a pod's own.

    Raises as `SchemaSource.ids`, as `opened` of its gateways, and as `Passes.read`.
    """
    brokers, kafka = settings.brokers, settings.kafka.librdkafka()
    cache = settings.cache_dir / "schema-ids.json"
    schemas = SchemaSource(settings.registry_url, cache, SchemaIdLog(brokers, kafka=kafka))
    ids = schemas.ids()
    outcomes = OutcomeFeed(brokers, schemas=schemas, kafka=kafka)
    commands = CommandLog(brokers, kafka=kafka)
    asked = settings.lookup_token
    aiokafka = settings.kafka.aiokafka()
    owners = OwnerLookup(brokers, settings.app_id, asked, kafka=aiokafka, decided=outcomes.decided)
    metrics = ApiMetrics(settings.revision)
    if view is None:
        view = AvailabilityView(
            brokers,
            topic=settings.status_topic,
            schemas=schemas,
            stale_after_ms=settings.stale_after_ms,
            kafka=kafka,
        )
    pod = pod_of(
        settings,
        view=view,
        outcomes=outcomes,
        commands=commands,
        desk=CommandDesk(
            ids,
            commands,
            outcomes,
            metrics,
            in_flight_max=settings.in_flight_max,
            keys=IdempotencyKeys(settings.redis_url),
            failpoints=Failpoints.from_env(os.environ, FAILPOINTS),
        ),
        catalogue=EventCatalogue(brokers, schemas=schemas, kafka=kafka),
        descriptions=CommandLog(brokers, topic=EVENTS.name, kafka=kafka),
        ids=ids,
        payments=PaymentDesk(
            ids,
            CommandLog(brokers, topic=PAYMENT_COMMANDS.name, kafka=kafka),
            opened(settings.gateways, os.environ),
            LeftAlone(owners, PAYMENT_COMMANDS.name),
        ),
        carts=CartDesk(ids, CommandLog(brokers, topic=CART_COMMANDS.name, kafka=kafka)),
        owners=owners,
        issued=OwnerLookup(brokers, settings.purchases_group, asked, kafka=aiokafka),
        limits=RateLimits(settings.redis_url),
        pre_locks=PreLocks(settings.redis_url, settings.pre_lock_ms),
        sweeper=LockSweeper(settings.redis_url, outcomes, owners, leases=settings.lease_servers),
        booking=_booking(settings, schemas),
        metrics=metrics,
    )
    schemas.told = pod.fail
    return pod


def pod_of(settings: ApiSettings, **things: Unpack[Things]) -> Pod:
    """Build a pod of these things, and of what every pod has; raises as `Passes.read`."""
    return Pod(
        settings, things.get("metrics") or ApiMetrics(settings.revision), *_parts(settings, things)
    )


def _booking(settings: ApiSettings, schemas: SchemaSource) -> BookingDesk:
    """Return the booking queue where the settings have it; a pod that nobody asks follows none."""
    if settings.booking_queue != IN_KAFKA or not settings.grpc_port:
        return RedisBookingDesk(settings.redis_url)
    brokers, kafka = settings.brokers, settings.kafka.librdkafka()
    log = CommandLog(brokers, topic=BOOKING_QUEUE.name, kafka=kafka)
    return KafkaBookingDesk(BookingLog(brokers, schemas=schemas, kafka=kafka), log)


def _parts(settings: ApiSettings, things: Things) -> Iterator[Part]:
    """Yield the parts of a pod in the order in which they start."""
    view, outcomes, catalogue = things.get("view"), things.get("outcomes"), things.get("catalogue")
    partitions = Partitions(things.get("commands"), outcomes, view, settings.status_topic)
    yield things.get("verifier") or TokenVerifier(
        KeySet(settings.jwks), settings.jwt_audience, settings.jwt_issuer
    )
    yield RedisPolicy(*{settings.redis_url, *settings.lease_urls})
    if view is not None:
        yield Followed("view", view, of_view)
    if outcomes is not None:
        yield FollowedOutcomes(outcomes)
    if catalogue is not None:
        yield Followed("catalogue", catalogue, of_events)
    yield from _appended(things)
    yield partitions
    yield from _asked(settings, things)
    if (desk := things.get("desk")) is not None:
        desk.partitions_fault = partitions.fault
        yield desk
    if (sweeper := things.get("sweeper")) is not None:
        yield sweeper
    waiting = things.get("waiting") or _rooms(settings, view, things.get("ids"))
    waiting.is_demanded = partial(_demands_admission, catalogue)
    yield waiting


def _appended(things: Things) -> Iterator[Part]:
    """Yield what is appended to; only some requests need another topic than that of commands."""
    if (commands := things.get("commands")) is not None:
        yield AppendedPlainly("commands", commands)
    if (descriptions := things.get("descriptions")) is not None:
        yield AppendedPlainly("descriptions", descriptions, is_optional=True)
    if (payments := things.get("payments")) is not None:
        yield payments
    if (carts := things.get("carts")) is not None:
        yield carts


def _asked(settings: ApiSettings, things: Things) -> Iterator[Part]:
    """Yield what handlers ask, of owners, of Redis or of this process."""
    view, outcomes = things.get("view"), things.get("outcomes")
    if (owners := things.get("owners")) is not None:
        yield Running("owners", owners)
    if (issued := things.get("issued")) is not None:
        yield Running("issued", issued)
    if owners is not None and view is not None and outcomes is not None:
        seat_maps = SeatMapCache(owners, view, outcomes, CERTAIN_S)
        yield Given("seat_maps", seat_maps, of_seat_maps)
    if (ids := things.get("ids")) is not None:
        yield Given("ids", ids)
    yield Closed("limits", things.get("limits") or RateLimits(""), of_limits)
    yield Closed("pre_locks", things.get("pre_locks") or PreLocks("", 0), of_pre_locks)
    yield things.get("booking") or RedisBookingDesk(settings.redis_url)
    unused = settings.next_ticket_key, settings.old_ticket_key
    yield Given("ticket_keys", TicketKeys(settings.ticket_key, *unused))


def _demands_admission(catalogue: Events | None, event_id: int) -> bool:
    """Say whether an event, as far as this pod knows of it, demands that buyers are let in."""
    event = None if catalogue is None else catalogue.get(event_id)
    return event is not None and event.admission_required


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
    lots = None if passes is None else RoomLots(passes.private, turns)
    told = ToldTurns(settings.brokers, ids, kafka=kafka) if turns is not None and ids else None
    promoter = Promoter(
        url,
        supply_of(view),
        members=members,
        leases=settings.lease_servers,
        turns=turns,
        lots=lots,
        prover=LineProver(told),
    )
    return WaitingDesk(url, passes, promoter, turns)
