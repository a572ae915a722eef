"""Settings that workers and pods have in common, so that both sides agree on them."""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from infra.process import log_lines, spans
from infra.process.environment import (
    Environment,
    brokers,
    lease_servers,
    name,
    redis_address,
    setting,
)
from infra.process.kafka_security import NO_SECURITY, KafkaSecurity

PREFIX: Final = "SEATSTREAM_"
STATUS_TOPIC: Final = "section-status"


def a_status_topic(text: str) -> str:
    """Return the name of a topic of statuses: the usual one, or with a dash and a word behind."""
    if not re.fullmatch(rf"{STATUS_TOPIC}(-[A-Za-z0-9._]{{1,60}})?", text):
        raise ValueError(f"use {STATUS_TOPIC}, or that with a dash and a word behind it")
    return text


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """Settings of every process that reads the log.

    brokers:      KAFKA_BROKERS, host:port separated by commas.
    kafka:        how brokers are reached; `KafkaSecurity` documents the variables.
    registry_url: SCHEMA_REGISTRY_URL, Confluent-compatible; empty for the pinned ids.
    redis_url:    REDIS_URL, or what REDIS_URL_FILE holds; empty for none: no limits, no locks.
    lease_urls:   SEATSTREAM_LEASE_REDIS_URLS, or in the file SEATSTREAM_LEASE_REDIS_URLS_FILE: 3
                  or 5 independent servers, of which a majority grants leases; none: redis_url.
    app_id:       SEATSTREAM_APP_ID, consumer group of the workers and prefix of their
                  transactional ids.
    lookup_token: SEATSTREAM_LOOKUP_TOKEN, or in the file SEATSTREAM_LOOKUP_TOKEN_FILE: what pods
                  show to workers when they look records up; a worker without one answers look-ups
                  on a loopback address only.
    status_topic: SEATSTREAM_STATUS_TOPIC, where workers write the statuses of sections, and
                  where pods read them.
    spans_url:    OTEL_EXPORTER_OTLP_ENDPOINT, to whose /v1/traces spans are sent; empty for none.
    span_headers: OTEL_EXPORTER_OTLP_HEADERS, or what OTEL_EXPORTER_OTLP_HEADERS_FILE holds.
    service_name: OTEL_SERVICE_NAME, what spans are told as.
    log_format, log_level: LOG_FORMAT, text or json; LOG_LEVEL.
    """

    brokers: str = setting("KAFKA_BROKERS", brokers, "localhost:9092")
    kafka: KafkaSecurity = NO_SECURITY
    registry_url: str = setting("SCHEMA_REGISTRY_URL", str, "")
    redis_url: str = setting("REDIS_URL", redis_address, "", is_secret=True)
    lease_urls: tuple[str, ...] = setting(
        PREFIX + "LEASE_REDIS_URLS", lease_servers, (), is_secret=True
    )
    app_id: str = setting(PREFIX + "APP_ID", name, "seatstream-seats")
    lookup_token: str = setting(PREFIX + "LOOKUP_TOKEN", str, "", is_secret=True)
    status_topic: str = setting(PREFIX + "STATUS_TOPIC", a_status_topic, STATUS_TOPIC)
    spans_url: str = setting(spans.ENDPOINT, spans.a_collector, "")
    span_headers: tuple[tuple[str, str], ...] = setting(
        spans.HEADERS, spans.header_lines, (), is_secret=True
    )
    service_name: str = setting(spans.SERVICE_NAME, name, "")
    log_format: str = setting(log_lines.FORMAT, log_lines.a_format, "text")
    log_level: str = setting(log_lines.LEVEL, log_lines.a_level, "INFO")

    @property
    def lease_servers(self) -> tuple[str, ...]:
        """Return where leases lie; nothing where there is no Redis."""
        return self.lease_urls or tuple(url for url in (self.redis_url,) if url)

    @classmethod
    def read(cls, read: Environment, **further: Any) -> Self:
        """Read all settings; what cannot be used is told to `read`, whose `check` raises it.

        further: values of fields that `setting` has not made.
        """
        return cls(**read.values_of(cls), kafka=KafkaSecurity.read(read), **further)
