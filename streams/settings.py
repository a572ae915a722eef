"""Every setting of a worker: environment variable, unit, default. Read once, at start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, time, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from infra.process.environment import (
    BadSetting,
    Environment,
    between,
    database_address,
    flag,
    host,
    megabytes,
    name,
    setting,
    whole,
)
from infra.process.settings import PREFIX, SharedSettings, a_status_topic
from streams.patience import RETRIES, Patience, Retries, retries

INBOX_RETENTION_MS = 8 * 86_400_000
"""A day longer than our source topics keep records: what may be read again is known."""


class Figures(NamedTuple):
    """Of workers that do one thing for each event.

    retries: how often, and when again. inbox_retention_ms: how long an event is known.
    """

    retries: Retries = RETRIES
    inbox_retention_ms: int = INBOX_RETENTION_MS

    def of(self, role: str) -> tuple[Patience, int]:
        """Return the patience and the retention of one role, as its `Work` takes them."""
        return self.retries.of(role), self.inbox_retention_ms


FIGURES: Final = Figures()

__all__ = ["BadSetting", "Settings"]

ROLES = PREFIX + "ROLES"
REQUEST_TIMEOUT_MS = 10_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_INTERFACE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  (compared, not bound)


def _roles(text: str) -> tuple[str, ...]:
    return tuple(name(role.strip()) for role in text.split(","))


def _listed(text: str) -> tuple[str, ...]:
    """Split a list; whoever opens what it names says which names are none."""
    return tuple(part.strip() for part in text.split(","))


def _http_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        message = "no http:// or https:// address without a user"
        raise ValueError(message)
    return text.rstrip("/")


def _seconds_in_ms(text: str) -> int:
    return int(1000 * between(0.1, 3_600)(text))


def _retention_in_ms(text: str) -> int:
    return 1000 * whole(60, 366 * 86_400)(text)


def _zone(text: str) -> tzinfo:
    if text == "UTC":
        # Also where there is no data of zones.
        return UTC
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = "not a time zone that this machine has data of, such as Europe/Berlin"
        raise ValueError(message) from None


def _time_of_day(text: str) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        message = "not a time of day, HH:MM"
        raise ValueError(message)
    return time.fromisoformat(text)


def _days(text: str) -> frozenset[int]:
    names = [part.strip().lower() for part in text.split(",")]
    if text.lower() == "none":
        return frozenset()
    if not set(names) <= set(DAYS) or len(set(names)) == len(DAYS):
        message = f"none, or some of {', '.join(DAYS)} and not all"
        raise ValueError(message)
    return frozenset(DAYS.index(name) for name in names)


@dataclass(frozen=True, slots=True)
class Settings(SharedSettings):
    """Settings of one worker, beside those of `SharedSettings`.

    roles:               SEATSTREAM_ROLES, which routes of the topology run here; none for all.
    instance:            SEATSTREAM_INSTANCE, name of this worker; random unless static.
    static_membership:   SEATSTREAM_STATIC_MEMBERSHIP, keep partitions over a restart within
                         the session timeout; needs a stable SEATSTREAM_INSTANCE.
    data_dir:            SEATSTREAM_DATA_DIR, stores and crash journal; a cache of the changelog.
    session_timeout_s:   SEATSTREAM_SESSION_TIMEOUT_S, after which a silent worker is replaced.
    transaction_timeout_ms: SEATSTREAM_TRANSACTION_TIMEOUT_MS.
    commit_interval_ms:  SEATSTREAM_COMMIT_INTERVAL_MS, least time from one transaction to the next
                         while there is little to do; a record waits up to this long.
    transaction_records: SEATSTREAM_TRANSACTION_RECORDS, most input records of one transaction.
    buffer_bytes:        SEATSTREAM_BUFFER_MB, fetched and not yet decided; over it fetching waits.
    store_cache_bytes:   SEATSTREAM_STORE_CACHE_MB, block cache of all stores together.
    store_write_bytes:   SEATSTREAM_STORE_WRITE_MB, memtables of all stores together.
    section_cache_seats: SEATSTREAM_SECTION_CACHE_SEATS, decoded sections kept, in seats,
                         shared evenly by all partitions.
    tick_ms:             SEATSTREAM_TICK_MS, how often log time is moved while holds are due.
    health_host, health_port: SEATSTREAM_HEALTH_HOST, SEATSTREAM_HEALTH_PORT; 0 takes a free port.
    advertised_host:     SEATSTREAM_ADVERTISED_HOST, where API pods reach the health port for
                         look-ups; empty for the health host.
    retell_s:            SEATSTREAM_RETELL_S, how often the statuses of a partition are told again.
    status_also:         SEATSTREAM_STATUS_ALSO, a second topic of statuses, while pods go from one
                         to the other; empty for none.
    stall_s:             SEATSTREAM_STALL_S, lag without progress that makes /live fail.
    watchdog:            SEATSTREAM_WATCHDOG, end a process that was paused for half a session.
    dead_letter_run_limit, dead_letter_share_limit: SEATSTREAM_DEAD_LETTER_RUN_LIMIT (in a row)
                         and SEATSTREAM_DEAD_LETTER_SHARE_LIMIT (of the last 1,000 records).
    calls:               SEATSTREAM_CALLS, most calls of performers under way at once for a route;
                         the destinations that it names share them evenly.
    calls_per_destination: SEATSTREAM_CALLS_PER_DESTINATION, most of them for one destination.
    calls_end_s:         SEATSTREAM_CALLS_END_S, what calls under way get when the worker leaves.
    circuit_failures, circuit_open_ms, circuit_probes: SEATSTREAM_CIRCUIT_FAILURES in a row for
                         which a destination is left alone for SEATSTREAM_CIRCUIT_OPEN_S; then
                         SEATSTREAM_CIRCUIT_PROBES calls that must succeed.
    gateways:            SEATSTREAM_GATEWAYS, names of the payment gateways that may be asked, with
                         commas between; the same for all workers and API pods.
    gateway_call_ms:     SEATSTREAM_GATEWAY_CALL_S, how long a question to one may take.
    retries:             SEATSTREAM_RETRIES, how often workers try an event, and when again.
    inbox_retention_ms:  SEATSTREAM_INBOX_RETENTION_S, how long they remember one.
    admin_service_url:   ADMIN_SERVICE_URL, or what ADMIN_SERVICE_URL_FILE holds: the service that
                         allocates seats to purchases.
    database_url:        DATABASE_URL, or what DATABASE_URL_FILE holds: the PostgreSQL whose tables
                         the roles purchase_tables, allocation_tables and slot_tables keep.
    slot_zone, slot_time: SEATSTREAM_SLOT_ZONE and SEATSTREAM_SLOT_TIME, where and at what time of
                         day the slots of an allocation are; the same for all its workers.
    dark_days:           SEATSTREAM_DARK_DAYS, days of the week without slots; 0 for Monday.
    answer_secret, old_answer_secret: SEATSTREAM_ANSWER_SECRET, or in the file
                         SEATSTREAM_ANSWER_SECRET_FILE, and SEATSTREAM_OLD_ANSWER_SECRET: what the
                         workers that call services sign the answers with; empty: nobody does.
    claim_secret, old_claim_secret: SEATSTREAM_CLAIM_SECRET, or in the file
                         SEATSTREAM_CLAIM_SECRET_FILE, and SEATSTREAM_OLD_CLAIM_SECRET: what other
                         shops sign payment-completed with; without one nobody reads that topic.
    revision:            SEATSTREAM_REVISION, of the source; only shown, in the metrics.
    """

    roles: tuple[str, ...] = setting(ROLES, _roles, ())
    instance: str = field(default_factory=lambda: uuid4().hex[:8])
    static_membership: bool = setting(PREFIX + "STATIC_MEMBERSHIP", flag, False)
    data_dir: Path = setting(PREFIX + "DATA_DIR", Path, Path("seatstream-data"))
    session_timeout_s: float = setting(PREFIX + "SESSION_TIMEOUT_S", between(1, 300), 6.0)
    transaction_timeout_ms: int = setting(
        PREFIX + "TRANSACTION_TIMEOUT_MS", whole(1_000, 900_000), 15_000
    )
    commit_interval_ms: int = setting(PREFIX + "COMMIT_INTERVAL_MS", whole(0, 5_000), 0)
    transaction_records: int = setting(PREFIX + "TRANSACTION_RECORDS", whole(1, 100_000), 10_000)
    buffer_bytes: int = setting(PREFIX + "BUFFER_MB", megabytes, 32 << 20)
    store_cache_bytes: int = setting(PREFIX + "STORE_CACHE_MB", megabytes, 64 << 20)
    store_write_bytes: int = setting(PREFIX + "STORE_WRITE_MB", megabytes, 64 << 20)
    section_cache_seats: int = setting(
        PREFIX + "SECTION_CACHE_SEATS", whole(1_000, 1 << 40), 8_000_000
    )
    tick_ms: int = setting(PREFIX + "TICK_MS", whole(10, 60_000), 1_000)
    health_host: str = setting(PREFIX + "HEALTH_HOST", str, "127.0.0.1")
    health_port: int = setting(PREFIX + "HEALTH_PORT", whole(0, 65_535), 0)
    advertised_host: str = setting(PREFIX + "ADVERTISED_HOST", host, "")
    retell_s: float = setting(PREFIX + "RETELL_S", between(1, 604_800), 3_600.0)
    status_also: str = setting(PREFIX + "STATUS_ALSO", a_status_topic, "")
    stall_s: float = setting(PREFIX + "STALL_S", between(1, 3_600), 30.0)
    watchdog: bool = setting(PREFIX + "WATCHDOG", flag, True)
    dead_letter_run_limit: int = setting(PREFIX + "DEAD_LETTER_RUN_LIMIT", whole(1, 1 << 40), 10)
    dead_letter_share_limit: int = setting(PREFIX + "DEAD_LETTER_SHARE_LIMIT", whole(1, 1_000), 10)
    calls: int = setting(PREFIX + "CALLS", whole(1, 10_000), 128)
    calls_per_destination: int = setting(PREFIX + "CALLS_PER_DESTINATION", whole(1, 10_000), 32)
    calls_end_s: float = setting(PREFIX + "CALLS_END_S", between(0, 60), 5.0)
    circuit_failures: int = setting(PREFIX + "CIRCUIT_FAILURES", whole(1, 1_000), 5)
    circuit_open_ms: int = setting(PREFIX + "CIRCUIT_OPEN_S", _seconds_in_ms, 60_000)
    circuit_probes: int = setting(PREFIX + "CIRCUIT_PROBES", whole(1, 100), 3)
    gateways: tuple[str, ...] = setting(PREFIX + "GATEWAYS", _listed, ("mock",))
    gateway_call_ms: int = setting(PREFIX + "GATEWAY_CALL_S", _seconds_in_ms, 10_000)
    retries: Retries = setting(PREFIX + "RETRIES", retries, RETRIES)
    inbox_retention_ms: int = setting(
        PREFIX + "INBOX_RETENTION_S", _retention_in_ms, INBOX_RETENTION_MS
    )
    admin_service_url: str = setting("ADMIN_SERVICE_URL", _http_address, "", is_secret=True)
    database_url: str = setting("DATABASE_URL", database_address, "", is_secret=True)
    slot_zone: tzinfo = setting(PREFIX + "SLOT_ZONE", _zone, _zone("UTC"))
    slot_time: time = setting(PREFIX + "SLOT_TIME", _time_of_day, time(16))
    dark_days: frozenset[int] = setting(PREFIX + "DARK_DAYS", _days, _days("sat,sun"))
    answer_secret: str = setting(PREFIX + "ANSWER_SECRET", str, "", is_secret=True)
    old_answer_secret: str = setting(PREFIX + "OLD_ANSWER_SECRET", str, "", is_secret=True)
    claim_secret: str = setting(PREFIX + "CLAIM_SECRET", str, "", is_secret=True)
    old_claim_secret: str = setting(PREFIX + "OLD_CLAIM_SECRET", str, "", is_secret=True)
    revision: str = setting(PREFIX + "REVISION", name, "")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Build settings from environment variables; raise BadSetting with all that are bad."""
        read = Environment(environ)
        instance = read(PREFIX + "INSTANCE", name, uuid4().hex[:8])
        settings = cls.read(read, instance=instance)
        # Variables of the API pods may stand in the same environment.
        read.refuse_unknown(PREFIX, foreign=PREFIX + "API_")
        if settings.static_membership and PREFIX + "INSTANCE" not in environ:
            read.refuse(f"{PREFIX}STATIC_MEMBERSHIP needs a stable {PREFIX}INSTANCE")
        read.check()
        return settings

    @property
    def connection(self) -> dict[str, Any]:
        """Arguments that every Kafka client of the worker is built with."""
        return {
            "bootstrap_servers": self.brokers.split(","),
            # A frozen broker takes connections and answers nothing: so long until the next is
            # asked, where the client's own patience is 40 s.
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            **self.kafka.aiokafka(),
        }

    @property
    def status_topics(self) -> tuple[str, ...]:
        """Return where statuses are written, each topic once."""
        topics = (self.status_topic, self.status_also)
        return tuple(dict.fromkeys(topic for topic in topics if topic))

    @property
    def lookup_host(self) -> str:
        """Host under which others reach the look-ups; empty where none can be told."""
        told = self.advertised_host or self.health_host
        return "" if told in _EVERY_INTERFACE else told

    @property
    def takeover_timeout_s(self) -> float:
        """How long fencing the former owners may take."""
        return 2 * self.transaction_timeout_ms / 1000

    @property
    def watchdog_s(self) -> float:
        return self.session_timeout_s / 2 if self.watchdog else 0.0
