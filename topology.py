"""The table of contents: which topic goes through which handler, to which topics and store.

`faust -A topology worker` starts a worker with the settings of its environment
(`streams/settings.py`). Importing this module opens nothing: `app` is built on first access.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial

from infra.process.environment import BadSetting
from schemas.topics import (
    CART_COMMANDS,
    CARTS_CHANGELOG,
    CLAIMS_CHANGELOG,
    DEAD_LETTER_QUEUE,
    EVENTS,
    PAYMENT_COMMANDS,
    PAYMENT_COMPLETED,
    PAYMENT_EVENTS,
    PURCHASE_CONFIRMED,
    PURCHASES_CHANGELOG,
    RESERVATION_OUTCOMES,
    SEAT_UNLOCK,
    SEAT_UNLOCKED,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
    UNLOCKS_CHANGELOG,
)
from serdes.decoding import TopicDecoder
from serdes.registry.known_ids import IdLogUnavailableError, SchemaIdsError
from serdes.schema_source import Answer, SchemaSource
from state.domain.keys import may_store, may_store_of_carts, may_store_of_payments
from state.kafka.schema_id_log import SchemaIdLog
from state.records.cart_codecs import CartCodecs
from state.records.claim_codecs import ClaimCodecs
from state.records.issued.codecs import IssuingCodecs
from state.records.lock_codecs import LockCodecs
from state.records.payment_codecs import PaymentCodecs
from state.records.seat_codecs import SeatCodecs
from state.redis.policy import Evicts, check_policy_at
from state.redis.unlock import Caches, Unlocker
from streams import allocate_purchases, invalidate_caches, issue_purchases, release_locks
from streams.change_sections import (
    change_sections,
    contradiction,
    progress,
    refuse_poison,
    retold_statuses,
)
from streams.check_claims import handler as claims
from streams.emit_ticks import emit_ticks
from streams.gateways.protocol import Gateway
from streams.gateways.registry import SETTING, gateway_names, opened
from streams.gateways.webhooks import Secrets
from streams.hold_carts import handler as carts
from streams.hold_carts.contradictions import contradiction as contradiction_of_carts
from streams.route import Route, played
from streams.runtime.app import BatchApp
from streams.runtime.process.fatal import end_process
from streams.settings import Settings
from streams.take_payments import handler as payments
from streams.take_payments.contradictions import contradiction as contradiction_of_payments
from streams.take_payments.fold import Setup
from streams.take_payments.performers import GatewayPerformers
from streams.take_payments.questions import CALL_MS, told_answers

log = logging.getLogger("seatstream.runtime")

TAKES_PAYMENTS, CHECKS_CLAIMS, RELEASES_LOCKS = "payments", "claims", "locks"

# Played where they are named only: each is scaled apart, in a consumer group of its own.
WORKERS = (issue_purchases.ROLE, allocate_purchases.ROLE, invalidate_caches.ROLE)

# API pods are no workers: they follow these topics whole, in memory, and append to those.
POD_READS = (SECTION_STATUS.name, RESERVATION_OUTCOMES.name, EVENTS.name)
POD_WRITES = (SECTION_COMMANDS.name, EVENTS.name, PAYMENT_COMMANDS.name, CART_COMMANDS.name)


def routes(
    codecs: SeatCodecs,
    of_payments: PaymentCodecs,
    of_carts: CartCodecs,
    *,
    cached_seats: int,
    gateways: Sequence[Gateway] = (),
    gateway_call_ms: int = CALL_MS,
    shops: claims.Setup | None = None,
    locks: release_locks.Setup | None = None,
    workers: Sequence[Route] = (),
) -> tuple[Route, ...]:
    """Return the whole flow.

    cached_seats: bounds the decoded sections of one partition. gateways: those that may be asked.
    shops: who else may say that a payment was made; None for nobody. locks: whose locks go with
           their holds; None where there is no Redis. workers: those of what happens after the
           money that are played here.
    """
    performers = GatewayPerformers(gateways)
    return (
        seats(codecs, cached_seats),
        take_payments(of_payments, performers, gateway_call_ms),
        hold_carts(of_carts),
        *((check_claims(shops),) if shops else ()),
        *((unlock_seats(locks),) if locks else ()),
        *workers,
    )


def workers(
    codecs: IssuingCodecs, settings: Settings, roles: Sequence[str] = WORKERS
) -> tuple[Route, ...]:
    """Return the routes of those roles that do one thing for each event after the money."""
    figures = settings.retries, settings.inbox_retention_ms
    service = allocate_purchases.AllocationService(settings.admin_service_url)
    if allocate_purchases.ROLE in settings.roles and not settings.admin_service_url:
        raise BadSetting(f"ADMIN_SERVICE_URL: the role {allocate_purchases.ROLE} asks there")
    caches = Caches(settings.redis_url) if settings.redis_url else None
    if invalidate_caches.ROLE in settings.roles and caches is None:
        raise BadSetting(f"REDIS_URL: the role {invalidate_caches.ROLE} deletes there")
    if {allocate_purchases.ROLE, invalidate_caches.ROLE} <= {*settings.roles}:
        # A group reads each record of a topic once.
        raise BadSetting(
            f"SEATSTREAM_ROLES: {settings.roles} read one topic: they need two groups"
        )
    seal = _answer_seal(settings)
    made = {
        issue_purchases.ROLE: issue_purchases.route(codecs, *figures),
        allocate_purchases.ROLE: allocate_purchases.route(
            codecs, service.perform, *figures, seal, close=service.close
        ),
        invalidate_caches.ROLE: invalidate_caches.route(
            codecs,
            invalidate_caches.performer(caches.forget if caches else None),
            *figures,
            seal,
            close=caches.close if caches else None,
        ),
    }
    return tuple(made[role] for role in WORKERS if role in roles)


def seats(codecs: SeatCodecs, cached_seats: int) -> Route:
    """Return the route of the only writer of seats: section state is a fold of its topic."""
    return Route(
        role="seats",
        source=SECTION_COMMANDS.name,
        handler=change_sections(codecs, cached_seats_max=cached_seats),
        to=(
            RESERVATION_OUTCOMES.name,
            SECTION_STATUS.name,
            PAYMENT_COMMANDS.name,
            CART_COMMANDS.name,
            SEAT_UNLOCK.name,
        ),
        by_key=(CART_COMMANDS.name,),
        changelog=SEATS_CHANGELOG.name,
        dead_letters=DEAD_LETTER_QUEUE.name,
        progress=progress,
        tick=emit_ticks(codecs.tick),
        retold=retold_statuses(codecs),
        refuse=refuse_poison(codecs),
        owns=may_store,
        contradiction=contradiction(codecs),
    )


def take_payments(
    codecs: PaymentCodecs, performers: GatewayPerformers, gateway_call_ms: int
) -> Route:
    """Return the route of the only writer of purchases, and the only one that calls gateways."""
    setup = Setup(codecs, call_ms=gateway_call_ms)
    return Route(
        role=TAKES_PAYMENTS,
        source=PAYMENT_COMMANDS.name,
        handler=payments.take_payments(setup),
        to=(
            *(PAYMENT_EVENTS.name, SECTION_COMMANDS.name, CART_COMMANDS.name),
            PURCHASE_CONFIRMED.name,
        ),
        by_key=(PURCHASE_CONFIRMED.name,),
        changelog=PURCHASES_CHANGELOG.name,
        dead_letters=DEAD_LETTER_QUEUE.name,
        progress=payments.progress,
        tick=emit_ticks(codecs.tick),
        refuse=payments.refuse_poison(setup),
        counts=payments.counts(codecs),
        owns=may_store_of_payments,
        contradiction=contradiction_of_payments(codecs),
        performers=performers.by_destination,
        answer=told_answers(codecs),
        close=performers.close,
    )


def hold_carts(codecs: CartCodecs) -> Route:
    """Return the route of the only writer of carts: each buyer's of an event lie together."""
    return Route(
        role="carts",
        source=CART_COMMANDS.name,
        handler=carts.hold_carts(codecs),
        # The payment of a cart lies on the cart's own partition.
        to=(SECTION_COMMANDS.name, PAYMENT_COMMANDS.name),
        by_key=(SECTION_COMMANDS.name,),
        changelog=CARTS_CHANGELOG.name,
        dead_letters=DEAD_LETTER_QUEUE.name,
        progress=carts.progress,
        tick=emit_ticks(codecs.tick),
        refuse=carts.refuse_poison(codecs),
        owns=may_store_of_carts,
        contradiction=contradiction_of_carts,
    )


def check_claims(shops: claims.Setup) -> Route:
    """Return the route that believes other shops: it remembers nothing, and forwards."""
    return Route(
        role=CHECKS_CLAIMS,
        source=PAYMENT_COMPLETED.name,
        handler=claims.check_claims(shops),
        to=(SECTION_COMMANDS.name,),
        changelog=CLAIMS_CHANGELOG.name,
        dead_letters=DEAD_LETTER_QUEUE.name,
    )


def unlock_seats(setup: release_locks.Setup) -> Route:
    """Return the route that removes the locks of holds that are over."""
    return Route(
        role=RELEASES_LOCKS,
        source=SEAT_UNLOCK.name,
        handler=release_locks.release_locks(setup),
        to=(SEAT_UNLOCKED.name,),
        changelog=UNLOCKS_CHANGELOG.name,
        dead_letters=DEAD_LETTER_QUEUE.name,
        progress=release_locks.progress,
        refuse=release_locks.refuse_poison(setup),
        owns=release_locks.owns,
        performers={release_locks.REDIS: release_locks.performer(setup.unlocker)},
        answer=release_locks.told_answers(setup.codecs),
        close=None if setup.unlocker is None else setup.unlocker.close,
    )


def _ask(source: SchemaSource, decoders: Sequence[TopicDecoder], schema_id: int) -> bool | None:
    """Ask what an id stands for, in the words of the runtime, and tell every decoder."""
    try:
        answer = source.ask(schema_id, *decoders)
    except IdLogUnavailableError:
        # What it stands for could not be listed: asked again, it is.
        return False
    if answer is Answer.UNKNOWN:
        return None
    return answer is Answer.KNOWN


def _gateways(settings: Settings, environ: Mapping[str, str]) -> tuple[Gateway, ...]:
    """Open the gateways of a worker that takes payments, without connecting to any."""
    if settings.roles and TAKES_PAYMENTS not in settings.roles:
        return ()
    try:
        return tuple(opened(gateway_names(",".join(settings.gateways)), environ).values())
    except ValueError as error:
        # A setting of a gateway's is told by its own name.
        if isinstance(error, BadSetting):
            raise
        raise BadSetting(f"{SETTING}: {error}") from error


def _shops(settings: Settings, codecs: ClaimCodecs) -> claims.Setup | None:
    """Return how other shops are believed; None where nobody here reads what they say."""
    given = settings.claim_secret, settings.old_claim_secret
    # Without a secret only whoever asks for the role is told that it cannot be played.
    if CHECKS_CLAIMS not in settings.roles and (settings.roles or not any(given)):
        return None
    return claims.Setup(codecs, _secrets("SEATSTREAM_CLAIM_SECRET", *given))


def _answer_seal(settings: Settings) -> Secrets | None:
    """Return what the answers of calls are signed with; None where nobody set a secret."""
    given = settings.answer_secret, settings.old_answer_secret
    return _secrets("SEATSTREAM_ANSWER_SECRET", *given) if any(given) else None


def _secrets(name: str, *given: str) -> Secrets:
    """Return those that are set; raises BadSetting for the setting of this name."""
    try:
        return Secrets(*(secret.encode() for secret in given if secret))
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from error


def _locks(settings: Settings, codecs: LockCodecs) -> release_locks.Setup | None:
    """Return how locks are removed; None where nobody here has to."""
    url = settings.redis_url
    # Without Redis only whoever asks for the role is told that it cannot be played.
    if RELEASES_LOCKS not in settings.roles and (settings.roles or not url):
        return None
    if not url:
        raise BadSetting(f"REDIS_URL: the role {RELEASES_LOCKS} removes locks there")
    try:
        check_policy_at(url)
    except Evicts as error:
        if RELEASES_LOCKS in settings.roles:
            raise BadSetting(f"REDIS_URL: {error}") from error
        # Seats are sold with any Redis and without; to remove locks there asks no promise of it.
        log.warning("REDIS_URL: %s. Pods do not start with it", error)
    return release_locks.Setup(codecs, Unlocker(url))


def build_app(settings: Settings, environ: Mapping[str, str] = os.environ) -> BatchApp:
    """Return the Faust app of a worker that plays the roles of its settings.

    environ: has the settings of its gateways. Raises BadSetting for what is wrong with any of
    them, and for a role that no route has.
    """
    gateways = _gateways(settings, environ)
    id_log = SchemaIdLog(settings.brokers, kafka=settings.kafka.librdkafka())
    cache = settings.data_dir / "schema-ids.json"
    source = SchemaSource(settings.registry_url, cache, id_log, appends=True)
    try:
        ids = source.ids()
    except SchemaIdsError as error:
        end_process(f"schema ids: {type(error).__name__}: {error}")
    cached_seats = settings.section_cache_seats // SECTION_COMMANDS.partitions
    codecs, of_payments, of_carts = SeatCodecs.of(ids), PaymentCodecs.of(ids), CartCodecs.of(ids)
    of_claims, of_locks = ClaimCodecs.of(ids), LockCodecs.of(ids)
    of_issuing = IssuingCodecs.of(ids)
    decoders = (
        *(codecs.commands, of_payments.records, of_carts.records),
        *(of_claims.records, of_locks.records, of_issuing.confirmed, of_issuing.told),
    )
    flow = routes(
        codecs,
        of_payments,
        of_carts,
        cached_seats=cached_seats,
        gateways=gateways,
        gateway_call_ms=settings.gateway_call_ms,
        shops=_shops(settings, of_claims),
        locks=_locks(settings, of_locks),
        workers=workers(of_issuing, settings, settings.roles),
    )
    return BatchApp(
        settings,
        played(flow, settings.roles),
        ask_registry=partial(_ask, source, decoders),
        confirm=source.confirm,
        notes=(f"schema ids from {ids.source}",),
    )


def __getattr__(name: str) -> BatchApp:
    if name != "app":
        raise AttributeError(name)
    return build_app(Settings.from_env(os.environ), os.environ)
