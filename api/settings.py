"""Every setting of an API pod: environment variable, unit, default. Read once, at start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from api.access.addresses import network_in
from api.access.ticket_keys import private_key
from infra.process.environment import (
    BadSetting,
    Environment,
    file,
    flag,
    host,
    name,
    one_of,
    setting,
    whole,
    without_password,
)
from infra.process.settings import PREFIX, SharedSettings
from state.redis.rate_limit import Limit
from state.views.availability.statuses import STALE_AFTER_MS
from streams.gateways.registry import DEFAULT, gateway_names
from streams.gateways.registry import SETTING as GATEWAYS

__all__ = ["ApiSettings", "BadSetting"]

API: Final = PREFIX + "API_"

CREATE: Final[Limit | None] = Limit(5, 60_000)
CANCEL: Final[Limit | None] = Limit(10, 60_000)
POSITION: Final[Limit | None] = Limit(60, 60_000)
OTHER: Final[Limit | None] = Limit(100, 60_000)
NETWORK: Final[Limit | None] = Limit(1_000, 60_000)

MEMBERS: Final = 10

IN_REDIS: Final = "redis"
IN_KAFKA: Final = "kafka"
"""What keeps the booking queue."""

_UNIT_MS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000}
_LIMIT: Final = re.compile(r"([0-9]{1,9})/(s|min|h)")
_BEARER: Final = re.compile("[!-~]{1,4096}")
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")


def _limit(text: str) -> Limit | None:
    if text == "none":
        return None
    match = _LIMIT.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 1_000_000:
        raise ValueError("use a count and a unit such as 5/min (s, min, h), or none")
    return Limit(int(match[1]), _UNIT_MS[match[2]])


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(","))
    for origin in origins:
        # A wildcard is none of the values: whoever wants one has not thought of tokens.
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is not scheme://host[:port]")
    return origins


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(network_in(network)) for network in text.split(","))


def _service(text: str) -> str:
    parts = urlsplit(text)
    host_and_port = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in {"http", "https"} or text != host_and_port or "@" in parts.netloc:
        raise ValueError("use http://host:port or https://host:port")
    if not parts.hostname or not parts.port:
        raise ValueError("name host and port")
    return text


def _bearer(text: str) -> str:
    if not _BEARER.fullmatch(text):
        raise ValueError("use 1 to 4096 visible characters of ASCII")
    return text


def _ticket_key(text: str) -> str:
    private_key(text)
    return text


@dataclass(frozen=True, slots=True, repr=False)
class ApiSettings(SharedSettings):
    """Settings of one API pod, beside those of `SharedSettings`.

    host, port:     SEATSTREAM_API_HOST, SEATSTREAM_API_PORT.
    jwks:           SEATSTREAM_API_JWKS, file or https address of the keys that tokens are signed
                    with; empty refuses every token.
    jwt_audience:   SEATSTREAM_API_JWT_AUDIENCE, demanded of every token.
    jwt_issuer:     SEATSTREAM_API_JWT_ISSUER, demanded of every token; empty demands none.
    wait_ms:        SEATSTREAM_API_WAIT_MS, how long a command waits for its outcome by default.
    wait_max_ms:    SEATSTREAM_API_WAIT_MAX_MS, most that `Prefer: wait` may ask for.
    in_flight_max:  SEATSTREAM_API_IN_FLIGHT_MAX, commands under way; the next one is refused.
    streams_per_user: SEATSTREAM_API_STREAMS_PER_USER, event streams that one user has open.
    stale_after_ms: SEATSTREAM_API_STALE_AFTER_MS, age from which availability is called stale.
    body_bytes_max: SEATSTREAM_API_BODY_BYTES_MAX.
    event_body_bytes_max: SEATSTREAM_API_EVENT_BODY_BYTES_MAX, of an operator who opens an event:
                    a seating plan is large.
    cache_dir:      SEATSTREAM_API_CACHE_DIR, schema ids of the last start, for when the registry
                    is down.
    drain_ms:       SEATSTREAM_API_DRAIN_MS, how long a pod that was told to end says not ready
                    and still answers, before it stops to listen.
    idle_ms:        SEATSTREAM_API_IDLE_MS, how long a connection is kept without a request; whole
                    seconds count, and longer than load balancers keep theirs is right.
    head_ms:        SEATSTREAM_API_HEAD_MS, how long the head of a request may take to arrive.
    gateways:       SEATSTREAM_GATEWAYS, through which buyers pay, the usual one first; the same
                    for workers.
    cors_origins:   SEATSTREAM_API_CORS_ORIGINS, scheme://host[:port] separated by commas.
    trusted_proxies: SEATSTREAM_API_TRUSTED_PROXIES, networks whose X-Forwarded-For is believed.
    limit_create, limit_cancel, limit_position, limit_other: SEATSTREAM_API_LIMIT_CREATE and so
                    on, requests of one user, such as 5/min (s, min, h); none for no limit.
    limit_network:  SEATSTREAM_API_LIMIT_NETWORK, requests from one network address.
    pre_lock_ms:    SEATSTREAM_API_PRE_LOCK_MS, how long chosen seats are locked in Redis before
                    the log holds them; 0 for no such locks.
    ticket_key, next_ticket_key, old_ticket_key: SEATSTREAM_API_TICKET_KEY, or in the file
                    SEATSTREAM_API_TICKET_KEY_FILE, SEATSTREAM_API_NEXT_TICKET_KEY, which signs
                    nothing yet, and SEATSTREAM_API_OLD_TICKET_KEY: PEM of the
                    Ed25519 key that tickets are signed with, and of the one before it; the same
                    for all pods; without one tickets have no code.
    purchases_group: SEATSTREAM_API_PURCHASES_GROUP, consumer group of the workers that issue,
                    their SEATSTREAM_APP_ID.
    admission_keys: SEATSTREAM_API_ADMISSION_KEYS, file of the private keys (JWKS, Ed25519) that
                    turns of waiting rooms are signed with, the first of them; empty for a pod
                    without waiting rooms.
    promoters:      SEATSTREAM_API_PROMOTERS, rooms that this pod lets somebody in from at once; 0
                    for none, where other pods do.
    grpc_port:      SEATSTREAM_API_GRPC_PORT, of the booking queue over gRPC, at the same host; 0
                    for none.
    grpc_certificate, grpc_key: SEATSTREAM_API_GRPC_CERTIFICATE and SEATSTREAM_API_GRPC_KEY, PEM
                    files that gRPC is encrypted with; both empty for no encryption here.
    booking_queue:  SEATSTREAM_API_BOOKING_QUEUE, what keeps the booking queue, the same for all
                    pods: redis or kafka.
    bookers:        SEATSTREAM_API_BOOKERS, items of the booking queue that a pod with a port for
                    gRPC carries out at once; 0 for none, where other pods do.
    realtime_url:   SEATSTREAM_API_REALTIME_URL, http://host:port or https://host:port of a service
                    over gRPC that users are told by how their items stand; empty for none.
    realtime_token: SEATSTREAM_API_REALTIME_TOKEN, or in SEATSTREAM_API_REALTIME_TOKEN_FILE: what
                    is shown to it; over https only.
    realtime_ca:    SEATSTREAM_API_REALTIME_CA, PEM file of the authorities that vouch for it;
                    empty for those that gRPC brings along.
    described_only: SEATSTREAM_API_DESCRIBED_ONLY, seats are held of described events only.
    revision:       SEATSTREAM_API_REVISION, of the source; only shown.
    """

    host: str = setting(API + "HOST", host, "127.0.0.1")
    port: int = setting(API + "PORT", whole(0, 65_535), 8000)
    jwks: str = setting(API + "JWKS", str, "")
    jwt_audience: str = setting(API + "JWT_AUDIENCE", str, "seatstream")
    jwt_issuer: str = setting(API + "JWT_ISSUER", str, "")
    wait_ms: int = setting(API + "WAIT_MS", whole(0, 60_000), 2_000)
    wait_max_ms: int = setting(API + "WAIT_MAX_MS", whole(0, 60_000), 10_000)
    in_flight_max: int = setting(API + "IN_FLIGHT_MAX", whole(1, 100_000), 1_000)
    streams_per_user: int = setting(API + "STREAMS_PER_USER", whole(1, 100_000), 100)
    stale_after_ms: int = setting(API + "STALE_AFTER_MS", whole(100, 600_000), STALE_AFTER_MS)
    body_bytes_max: int = setting(API + "BODY_BYTES_MAX", whole(1_024, 1 << 26), 65_536)
    event_body_bytes_max: int = setting(
        API + "EVENT_BODY_BYTES_MAX", whole(1_024, 1 << 26), 2_097_152
    )
    cache_dir: Path = setting(API + "CACHE_DIR", Path, Path("seatstream-api-cache"))
    drain_ms: int = setting(API + "DRAIN_MS", whole(0, 60_000), 0)
    idle_ms: int = setting(API + "IDLE_MS", whole(1_000, 3_600_000), 75_000)
    head_ms: int = setting(API + "HEAD_MS", whole(1_000, 60_000), 10_000)
    gateways: tuple[str, ...] = setting(GATEWAYS, gateway_names, DEFAULT)
    cors_origins: tuple[str, ...] = setting(API + "CORS_ORIGINS", _origins, ())
    trusted_proxies: tuple[str, ...] = setting(API + "TRUSTED_PROXIES", _networks, ())
    limit_create: Limit | None = setting(API + "LIMIT_CREATE", _limit, CREATE)
    limit_cancel: Limit | None = setting(API + "LIMIT_CANCEL", _limit, CANCEL)
    limit_position: Limit | None = setting(API + "LIMIT_POSITION", _limit, POSITION)
    limit_other: Limit | None = setting(API + "LIMIT_OTHER", _limit, OTHER)
    limit_network: Limit | None = setting(API + "LIMIT_NETWORK", _limit, NETWORK)
    pre_lock_ms: int = setting(API + "PRE_LOCK_MS", whole(0, 60_000), 0)
    ticket_key: str = setting(API + "TICKET_KEY", _ticket_key, "", is_secret=True)
    next_ticket_key: str = setting(API + "NEXT_TICKET_KEY", _ticket_key, "", is_secret=True)
    old_ticket_key: str = setting(API + "OLD_TICKET_KEY", _ticket_key, "", is_secret=True)
    purchases_group: str = setting(API + "PURCHASES_GROUP", name, "purchase-creation-workers")
    admission_keys: str = setting(API + "ADMISSION_KEYS", str, "")
    promoters: int = setting(API + "PROMOTERS", whole(0, 1_000), MEMBERS)
    grpc_port: int = setting(API + "GRPC_PORT", whole(0, 65_535), 0)
    grpc_certificate: str = setting(API + "GRPC_CERTIFICATE", file, "")
    grpc_key: str = setting(API + "GRPC_KEY", file, "")
    booking_queue: str = setting(API + "BOOKING_QUEUE", one_of(IN_REDIS, IN_KAFKA), IN_REDIS)
    bookers: int = setting(API + "BOOKERS", whole(0, 1_000), MEMBERS)
    realtime_url: str = setting(API + "REALTIME_URL", _service, "")
    realtime_token: str = setting(API + "REALTIME_TOKEN", _bearer, "", is_secret=True)
    realtime_ca: str = setting(API + "REALTIME_CA", file, "")
    described_only: bool = setting(API + "DESCRIBED_ONLY", flag, False)
    revision: str = setting(API + "REVISION", name, "")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Build settings from environment variables; raise BadSetting with all that are bad."""
        read = Environment(environ)
        settings = cls.read(read)
        # Variables of the workers may stand in the same environment.
        read.refuse_unknown(API)
        if settings.wait_ms > settings.wait_max_ms:
            read.refuse(f"{API}WAIT_MS={settings.wait_ms} is more than {API}WAIT_MAX_MS")
        if bool(settings.grpc_certificate) != bool(settings.grpc_key):
            read.refuse(f"{API}GRPC_CERTIFICATE and {API}GRPC_KEY are set together, or neither is")
        is_in_redis = settings.booking_queue == IN_REDIS
        if settings.grpc_port and is_in_redis and not settings.redis_url:
            read.refuse(
                f"{API}GRPC_PORT={settings.grpc_port} needs REDIS_URL, where the queue lies, "
                f"or {API}BOOKING_QUEUE={IN_KAFKA}"
            )
        if settings.realtime_url and not settings.grpc_port:
            read.refuse(f"{API}REALTIME_URL needs {API}GRPC_PORT: who has no queue tells nothing")
        if settings.realtime_url and not settings.redis_url:
            read.refuse(f"{API}REALTIME_URL needs REDIS_URL, where pods agree on who tells places")
        if settings.realtime_token and not settings.realtime_url.startswith("https:"):
            read.refuse(f"{API}REALTIME_TOKEN is shown over https alone: set {API}REALTIME_URL")
        read.check()
        return settings

    def shown(self) -> dict[str, str]:
        """Return every setting as text that may be printed: secrets are not in it."""
        shown = {field.name: str(getattr(self, field.name)) for field in fields(self)}
        shown["redis_url"] = without_password(self.redis_url)
        shown["span_headers"] = "(set)" if self.span_headers else ""
        shown["registry_url"] = without_password(self.registry_url)
        shown["jwks"] = without_password(self.jwks)
        secrets = ("lookup_token", "ticket_key", "next_ticket_key", "old_ticket_key")
        for secret in (*secrets, "realtime_token"):
            shown[secret] = "(set)" if getattr(self, secret) else ""
        return shown

    def __repr__(self) -> str:
        return f"ApiSettings({self.shown()})"
