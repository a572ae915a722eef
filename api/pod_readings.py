"""What the parts of a pod counted, as rows of its table of metrics."""

from collections.abc import Iterable, Iterator

from api.access.identity import TokenVerifier
from api.admission.desk import WaitingDesk
from api.admission.promoter import Promoter
from api.commands.desk import CommandDesk
from api.sweeper import LockSweeper
from api.web.metrics import ApiMetrics as Table
from infra.process.metrics import Reading
from state.kafka.command_log import CommandLog
from state.redis.pre_lock import PreLocks
from state.redis.rate_limit import RateLimits
from state.views.availability.statuses import SectionStatuses
from state.views.events.catalogue import Events
from state.views.outcomes.feed import OutcomeFeed
from state.views.seat_maps import SeatMapCache


def of_requests(limits: RateLimits, verifier: TokenVerifier) -> Iterable[Reading]:
    seen = limits.statistics()
    yield Table.limits_allowed, seen.allowed
    yield Table.limits_refused, seen.refused
    yield Table.limits_skipped, seen.skipped
    yield Table.tokens_verified, verifier.verified
    yield Table.tokens_refused, verifier.refused


def of_pre_locks(pre_locks: PreLocks) -> Iterable[Reading]:
    seen = pre_locks.counters
    yield Table.pre_locks_locked, seen.locked
    yield Table.pre_locks_refused, seen.refused
    yield Table.pre_locks_skipped, seen.skipped


def of_sweeper(sweeper: LockSweeper) -> Iterable[Reading]:
    yield Table.locks_swept, sweeper.swept
    yield Table.locks, sweeper.locks
    yield Table.redis_evicts, int(sweeper.evicts)


def of_waiting(waiting: WaitingDesk) -> Iterable[Reading]:
    yield Table.admissions_unchecked, waiting.unchecked


def of_promoter(promoter: Promoter) -> Iterable[Reading]:
    seen = promoter.counters
    yield Table.promotion_cycles, seen.cycles
    yield Table.promoted, seen.promoted
    yield Table.waiting_gone, seen.gone
    yield Table.promotion_failures, seen.failed
    yield Table.promotion_unsure, seen.unsure
    yield Table.promoting, promoter.is_it


def of_desk(desk: CommandDesk) -> Iterator[Reading]:
    yield Table.commands_overloaded, desk.in_flight.refused
    yield Table.idempotency_unknown, desk.keys.unknown


def of_log(log: CommandLog) -> Iterator[Reading]:
    seen, topic = log.statistics(), (log.topic,)
    yield Table.commands_appended, seen.appended, topic
    yield Table.commands_refused, seen.refused, topic
    yield Table.commands_unknown, seen.unknown, topic
    yield Table.commands_unacknowledged, seen.in_flight, topic
    yield Table.partitions_stuck, seen.stuck, topic


def of_outcomes(outcomes: OutcomeFeed) -> Iterator[Reading]:
    seen = outcomes.statistics()
    yield Table.waiters, seen.waiters
    yield Table.outcomes_records, seen.records
    yield Table.outcomes_bad, seen.bad
    yield Table.outcomes_reservations, seen.reservations
    yield Table.outcomes_bytes, seen.size_bytes
    yield Table.outcomes_staleness_seconds, seen.staleness_ms / 1000


def of_view(view: SectionStatuses) -> Iterator[Reading]:
    seen = view.statistics()
    yield Table.view_lookups, seen.lookups
    yield Table.view_misses, seen.misses
    yield Table.view_refused, seen.refused
    yield Table.view_passed, seen.passed
    yield Table.view_stepped_aside, seen.stepped_aside
    yield Table.view_unknown_passed, seen.unknown_passed
    yield Table.view_too_stale, seen.too_stale
    yield Table.view_not_yet, seen.not_yet
    yield Table.view_records, seen.records
    yield Table.view_older, seen.older
    yield Table.view_contradicted, seen.contradicted
    yield Table.view_readings, seen.readings
    yield Table.view_bad, sum(seen.bad.values())
    yield Table.view_miss_share, seen.miss_share
    yield Table.view_sections, seen.sections
    yield Table.view_staleness_seconds, seen.staleness_ms / 1000


def of_seat_maps(seat_maps: SeatMapCache) -> Iterator[Reading]:
    counters = seat_maps.counters
    yield Table.seat_maps_kept, counters.kept
    yield Table.seat_maps_looked_up, counters.looked_up
    yield Table.seat_maps_shared, counters.shared
    yield Table.seat_maps, len(seat_maps)


def of_events(catalogue: Events) -> Iterator[Reading]:
    seen = catalogue.counters
    yield Table.events, len(catalogue.listing())
    yield Table.events_records, seen.records
    yield Table.events_older, seen.older
    yield Table.events_bad, sum(seen.bad.values())
    yield Table.events_staleness_seconds, catalogue.staleness_ms() / 1000
