"""The metrics of one worker: every name, unit and meaning stands here.

Nothing is counted per record.
"""

from typing import Final

from infra.process.metrics import Metrics, counter, gauge, histogram

_SECONDS: Final = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0)
_CALL_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_RECORDS: Final = (1, 10, 100, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)


class WorkerMetrics(Metrics):
    """The table of a worker; docs/operations.md shows it to operators."""

    # What it owns, and how far it is behind.
    lag_records = gauge(
        "seatstream_lag_records",
        "End offset minus committed position of an input partition.",
        "partition",
    )
    lag_seconds = gauge(
        "seatstream_lag_seconds",
        "Age of the last decided record of the partition that lags most; 0 without lag.",
    )
    generations = counter("seatstream_generations", "Group generations taken over.")
    takeover_seconds = gauge(
        "seatstream_takeover_seconds", "Fence, claim and restore of the last takeover."
    )
    partitions = gauge("seatstream_partitions_owned", "Input partitions owned and running.")
    parked = gauge(
        "seatstream_partitions_parked",
        "Input partitions set aside, by what is wrong with them.",
        "reason",
    )
    topics_missing = gauge(
        "seatstream_topics_missing", "Topics of the routes that the brokers do not have."
    )
    brokers_silent = gauge(
        "seatstream_brokers_silent", "1 while no broker answers fetches, else 0."
    )

    # Transactions, and what was decided in them.
    batch_records = histogram(
        "seatstream_transaction_records", "Input records in one transaction.", buckets=_RECORDS
    )
    commit_seconds = histogram(
        "seatstream_commit_seconds",
        "From the first request of a transaction to its acknowledged commit.",
        buckets=_SECONDS,
    )
    store_seconds = histogram(
        "seatstream_store_write_seconds",
        "Writing one committed transaction to the stores.",
        buckets=_SECONDS,
    )
    decisions = counter(
        "seatstream_decisions", "Decisions committed, by outcome or reason.", "reason"
    )
    dead_letters = counter(
        "seatstream_dead_letters", "Records set aside as dead letters, by cause.", "cause"
    )
    open_transaction_seconds = gauge(
        "seatstream_open_transaction_seconds",
        "For how long the oldest open transaction of our partitions of a topic was seen open.",
        "topic",
    )
    hidden_records = gauge(
        "seatstream_hidden_records",
        "Offsets that nobody can read because of a transaction that is open for too long.",
        "topic",
    )

    # Restores and look-ups.
    restored_records = counter("seatstream_restored_records", "Changelog records restored.")
    refused_records = counter(
        "seatstream_refused_changelog_records",
        "Changelog records that are not ours, left out of a restore, by cause.",
        "cause",
    )
    restore_remaining = gauge(
        "seatstream_restore_remaining_records", "Changelog records still to restore, at most."
    )
    lookups = counter("seatstream_lookups", "Look-ups of committed records, by answer.", "answer")

    # What handlers keep.
    kept = gauge(
        "seatstream_kept",
        "What the states of owned partitions have of a kind, by role and kind.",
        "role",
        "kind",
    )
    uncounted = gauge(
        "seatstream_partitions_uncounted",
        "Input partitions whose states cannot be counted now: set aside, or damaged.",
    )

    # Effects outside Kafka.
    open_intents = gauge(
        "seatstream_open_intents", "Intents that are not settled, by destination.", "destination"
    )
    stranded_intents = gauge(
        "seatstream_stranded_intents",
        "Open intents that no performer of their route has, or whose answer cannot be told.",
        "destination",
    )
    oldest_intent_seconds = gauge(
        "seatstream_oldest_open_intent_seconds",
        "Age of the intent that is open for longest; 0 without one.",
    )
    calls = counter(
        "seatstream_calls",
        "Intents performed or not tried, by destination and result.",
        "destination",
        "result",
    )
    call_seconds = histogram(
        "seatstream_call_seconds",
        "From the beginning of a call to its end, by destination.",
        "destination",
        buckets=_CALL_SECONDS,
    )
    circuit = gauge(
        "seatstream_circuit_state",
        "0 while a destination is called, 1 while it is probed, 2 while it is left alone.",
        "destination",
    )

    # What one process does at a time.
    turns = counter(
        "seatstream_turns",
        "Leases asked for before a look at what is due, by role and answer.",
        "role",
        "answer",
    )

    # Clocks.
    time_paused = gauge(
        "seatstream_partitions_time_paused",
        "Input partitions whose time stands still after an unconfirmed leap.",
    )
    broker_clock = gauge(
        "seatstream_broker_clock_offset_seconds",
        "A broker's clock minus this worker's.",
        "broker",
    )

    # Memory and disk.
    buffered_bytes = gauge("seatstream_buffered_bytes", "Fetched and not yet decided.")
    store_bytes = gauge("seatstream_store_bytes", "Sizes of all stores.", "kind")
    resident_bytes = gauge("seatstream_resident_bytes", "Memory of this process.")
