"""Makes a worker of its settings: opens what its roles need, and makes the app of their routes.

Nothing connects here; only the registry is asked for schema ids, and Redis for its policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Final

from infra.process import spans
from infra.process.environment import BadSetting
from infra.process.settings import PREFIX
from schemas.topics import SECTION_COMMANDS
from serdes.decoding import TopicDecoder
from serdes.registry.ids import SchemaIds
from serdes.registry.known_ids import IdLogUnavailableError, SchemaIdsError
from serdes.schema_source import Answer, SchemaSource
from state.domain.issued.slots import Rules
from state.kafka.schema_id_log import SchemaIdLog
from state.records.cart_codecs import CartCodecs
from state.records.claim_codecs import ClaimCodecs
from state.records.issued.codecs import IssuingCodecs
from state.records.lock_codecs import LockCodecs
from state.records.payment_codecs import PaymentCodecs
from state.records.seat_codecs import SeatCodecs
from state.redis.lease import PartitionLeases
from state.redis.policy import Evicts, check_policy_at
from state.redis.unlock import Caches, Unlocker
from state.tables.opening import tables_at
from streams import (
    allocate_purchases,
    invalidate_caches,
    issue_purchases,
    release_locks,
)
from streams.change_sections.statuses import STATUS
from streams.check_claims import handler as claims
from streams.fill_tables import handler as filling
from streams.gateways.protocol import Gateway
from streams.gateways.registry import SETTING, gateway_names, opened
from streams.gateways.webhooks import Secrets
from streams.route import Route, played
from streams.runtime.app import BatchApp
from streams.runtime.process.fatal import end_process
from streams.schedule_slots import handler as slots
from streams.settings import FIGURES, Figures, Settings
from streams.take_payments import handler as payments
from streams.take_payments.questions import CALL_MS

SLOTS_LEASE_MS: Final = 10_000
"""How long the lease of one look at a partition's slots lasts, and so what a death costs them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes of a worker are made of.

    cached_seats: bounds the decoded sections of one partition.
    status_topics: where statuses are written.
    gateways:     those that may be asked; gateway_call_ms: how long one call may take.
    shops:        who else may say that a payment was made; None for nobody.
    locks:        whose locks go with their holds; None where there is no Redis.
    issuing, allocating, caches: what happens after the money; None where it is not played here.
                  Each is scaled apart, in a consumer group of its own.
    figures:      of those three.
    scheduling:   plans slots; None where that is not played here.
    tables:       what tells a database of it; None where that is not played here.
    """

    seats: SeatCodecs
    payments: PaymentCodecs
    carts: CartCodecs
    # Whoever adds one anywhere changes what no other stands for.
    _: KW_ONLY
    cached_seats: int = 1_000_000
    status_topics: tuple[str, ...] = STATUS
    gateways: Sequence[Gateway] = ()
    gateway_call_ms: int = CALL_MS
    shops: claims.Setup | None = None
    locks: release_locks.Setup | None = None
    issuing: IssuingCodecs | None = None
    allocating: allocate_purchases.Setup | None = None
    caches: invalidate_caches.Setup | None = None
    figures: Figures = FIGURES
    scheduling: slots.Setup | None = None
    tables: filling.Setup | None = None

    @property
    def decoders(self) -> tuple[TopicDecoder, ...]:
        """Return what reads the records of these routes."""
        found = [self.seats.commands, self.payments.records, self.carts.records]
        found += [part.codecs.records for part in (self.shops, self.locks) if part]
        found += [self.issuing.confirmed] if self.issuing else []
        found += [part.codecs.told for part in (self.allocating, self.caches, self.tables) if part]
        found += [part.codecs.heard for part in (self.tables, self.scheduling) if part]
        found += [self.tables.codecs.planned] if self.tables else []
        return tuple(found)


def parts_of(settings: Settings, environ: Mapping[str, str], ids: SchemaIds) -> Parts:
    """Return the parts of a worker. Raises BadSetting for what is wrong with any of them."""
    issuing = IssuingCodecs.of(ids)
    _check_that_each_reads_alone(settings.roles)
    return Parts(
        SeatCodecs.of(ids),
        PaymentCodecs.of(ids),
        CartCodecs.of(ids),
        status_topics=settings.status_topics,
        cached_seats=settings.section_cache_seats // SECTION_COMMANDS.partitions,
        gateways=_gateways(settings, environ),
        gateway_call_ms=settings.gateway_call_ms,
        shops=_shops(settings, ClaimCodecs.of(ids)),
        locks=_locks(settings, LockCodecs.of(ids)),
        issuing=issuing if issue_purchases.ROLE in settings.roles else None,
        allocating=_allocating(settings, issuing),
        caches=_caches(settings, issuing),
        figures=Figures(settings.retries, settings.inbox_retention_ms),
        scheduling=_scheduling(settings, issuing),
        tables=_tables(settings, issuing),
    )


def build_app(
    settings: Settings,
    environ: Mapping[str, str],
    routes: Callable[[Parts], Sequence[Route]],
) -> BatchApp:
    """Return the Faust app of a worker that plays the roles of its settings.

    environ: has the settings of its gateways. routes: makes the whole flow of the parts. Raises
    BadSetting for what is wrong with any part, and for a role that no route has.
    """
    id_log = SchemaIdLog(settings.brokers, kafka=settings.kafka.librdkafka())
    cache = settings.data_dir / "schema-ids.json"
    source = SchemaSource(settings.registry_url, cache, id_log, appends=True)
    try:
        ids = source.ids()
    except SchemaIdsError as error:
        end_process(f"schema ids: {type(error).__name__}: {error}")
    parts = parts_of(settings, environ, ids)
    told_as = settings.service_name or "seatstream-worker"
    spans.configure(settings.spans_url, settings.span_headers, told_as)
    return BatchApp(
        settings,
        played(routes(parts), settings.roles),
        ask_registry=partial(_ask, source, parts.decoders),
        confirm=source.confirm,
        notes=(f"schema ids from {ids.source}",),
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


def _check_that_each_reads_alone(roles: Sequence[str]) -> None:
    """Raise BadSetting for roles of one worker that read the same topic."""
    # A group reads each record of a topic once.
    of_created = {allocate_purchases.ROLE, invalidate_caches.ROLE, filling.PURCHASES}
    of_allocated = {slots.ROLE, filling.ALLOCATIONS}
    if any(len(readers & set(roles)) > 1 for readers in (of_created, of_allocated)):
        raise BadSetting(
            f"SEATSTREAM_ROLES: {roles} read one topic: each needs a group of its own"
        )


def _gateways(settings: Settings, environ: Mapping[str, str]) -> tuple[Gateway, ...]:
    """Open the gateways of a worker that takes payments, without connecting to any."""
    if settings.roles and payments.ROLE not in settings.roles:
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
    if claims.ROLE not in settings.roles and (settings.roles or not any(given)):
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
    if release_locks.ROLE not in settings.roles and (settings.roles or not url):
        return None
    if not url:
        raise BadSetting(f"REDIS_URL: the role {release_locks.ROLE} removes locks there")
    _check_policy("REDIS_URL", url, "nobody here removes locks")
    return release_locks.Setup(codecs, Unlocker(url))


def _check_policy(name: str, url: str, without: str) -> None:
    """Raise BadSetting for a Redis that drops keys; without: what a worker without it lacks."""
    try:
        check_policy_at(url)
    except Evicts as error:
        raise BadSetting(
            f"{name}: {error}. Set it there (CONFIG SET maxmemory-policy noeviction) and start "
            f"again, or start without {name}: then {without}"
        ) from error


def _allocating(settings: Settings, codecs: IssuingCodecs) -> allocate_purchases.Setup | None:
    """Return how purchases are allocated; None where nobody here has to."""
    if allocate_purchases.ROLE not in settings.roles:
        return None
    if not settings.admin_service_url:
        raise BadSetting(f"ADMIN_SERVICE_URL: the role {allocate_purchases.ROLE} asks there")
    service = allocate_purchases.AllocationService(settings.admin_service_url)
    seal = _answer_seal(settings)
    return allocate_purchases.Setup(codecs, service.perform, service.close, seal)


def _caches(settings: Settings, codecs: IssuingCodecs) -> invalidate_caches.Setup | None:
    """Return how caches are told; None where nobody here has to."""
    if invalidate_caches.ROLE not in settings.roles:
        return None
    if not settings.redis_url:
        raise BadSetting(f"REDIS_URL: the role {invalidate_caches.ROLE} deletes there")
    caches = Caches(settings.redis_url)
    perform = invalidate_caches.performer(caches.forget)
    return invalidate_caches.Setup(codecs, perform, caches.close, _answer_seal(settings))


def _scheduling(settings: Settings, codecs: IssuingCodecs) -> slots.Setup | None:
    """Return when slots are; None where nobody here plans any."""
    if slots.ROLE not in settings.roles:
        return None
    rules = Rules(settings.slot_zone, settings.slot_time, dark=settings.dark_days)
    urls = settings.lease_servers
    if not urls:
        return slots.Setup(codecs, rules)
    name = f"{PREFIX}LEASE_REDIS_URLS" if settings.lease_urls else "REDIS_URL"
    for url in urls:
        _check_policy(name, url, "nobody is asked whose turn it is")
    leases = PartitionLeases(urls, "slots", SLOTS_LEASE_MS)
    return slots.Setup(codecs, rules, leases.turn, leases.close)


def _tables(settings: Settings, codecs: IssuingCodecs) -> filling.Setup | None:
    """Return how tables are told; None where nobody here has to."""
    played = [role for role in filling.ROLES if role in settings.roles]
    if not played:
        return None
    by = f"the role {played[0]}"
    tables = tables_at(settings.database_url, settings.app_id, by)
    return filling.Setup(codecs, tables.write, tables.close)
