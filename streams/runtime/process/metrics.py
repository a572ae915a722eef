"""The metrics of a worker: name, labels and meaning of each. Nothing is counted per record."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.runtime.process.fatal import REASONS

_SECONDS = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0)
_RECORDS = (1, 10, 100, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)


class Metrics:
    """The metrics of one worker; bounded labels only, never a seat, user or reservation."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._of_transactions()
        self._of_ownership()
        self._of_others()

    def _of_transactions(self) -> None:
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.lag_records = gauge(
            "seatstream_lag_records",
            "End offset minus committed position of an input partition.",
            ("partition",),
        )
        self.lag_seconds = gauge(
            "seatstream_lag_seconds",
            "Age of the last decided record of the partition that lags most; 0 without lag.",
        )
        self.batch_records = histogram(
            "seatstream_transaction_records", "Input records in one transaction.", buckets=_RECORDS
        )
        self.commit_seconds = histogram(
            "seatstream_commit_seconds",
            "From the first request of a transaction to its acknowledged commit.",
            buckets=_SECONDS,
        )
        self.store_seconds = histogram(
            "seatstream_store_write_seconds",
            "Writing one committed transaction to the stores.",
            buckets=_SECONDS,
        )
        self.decisions = counter(
            "seatstream_decisions", "Decisions committed, by outcome or reason.", ("reason",)
        )
        self.dead_letters = counter(
            "seatstream_dead_letters", "Records set aside as dead letters, by cause.", ("cause",)
        )

    def _of_ownership(self) -> None:
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.restored_records = counter(
            "seatstream_restored_records", "Changelog records restored."
        )
        self.refused_records = counter(
            "seatstream_refused_changelog_records",
            "Changelog records that are not ours, left out of a restore, by cause.",
            ("cause",),
        )
        self.restore_remaining = gauge(
            "seatstream_restore_remaining_records", "Changelog records still to restore, at most."
        )
        self.generations = counter("seatstream_generations", "Group generations taken over.")
        self.takeover_seconds = gauge(
            "seatstream_takeover_seconds", "Fence, claim and restore of the last takeover."
        )
        self.partitions = gauge(
            "seatstream_partitions_owned", "Input partitions owned and running."
        )
        self.parked = gauge(
            "seatstream_partitions_parked",
            "Input partitions set aside, by what is wrong with them.",
            ("reason",),
        )
        for reason in REASONS:
            self.parked.labels(reason)

    def _of_others(self) -> None:
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.topics_missing = gauge(
            "seatstream_topics_missing", "Topics of the routes that the brokers do not have."
        )
        self.time_paused = gauge(
            "seatstream_partitions_time_paused",
            "Input partitions whose time stands still after an unconfirmed leap.",
        )
        self.broker_clock = gauge(
            "seatstream_broker_clock_offset_seconds",
            "A broker's clock minus this worker's.",
            ("broker",),
        )
        self.open_transaction_seconds = gauge(
            "seatstream_open_transaction_seconds",
            "For how long the oldest open transaction of our partitions of a topic was seen open.",
            ("topic",),
        )
        self.hidden_records = gauge(
            "seatstream_hidden_records",
            "Offsets that nobody can read because of a transaction that is open for too long.",
            ("topic",),
        )
        self.buffered_bytes = gauge("seatstream_buffered_bytes", "Fetched and not yet decided.")
        self.store_bytes = gauge("seatstream_store_bytes", "Sizes of all stores.", ("kind",))
        self.lookups = counter(
            "seatstream_lookups", "Look-ups of committed records, by answer.", ("answer",)
        )
        self.resident_bytes = gauge("seatstream_resident_bytes", "Memory of this process.")
