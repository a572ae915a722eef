"""Decided batches in; records of a transaction out, and writes to stores once it is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from state.stores.envelope import tombstone
from streams.placing import placed
from streams.runtime.ownership.troubles import STORE_ERRORS
from streams.runtime.transactions.dead_letters import LETTER_BYTES_MAX, dead_letter_record
from streams.runtime.transactions.input_partition import Decided, InputPartition
from streams.runtime.transactions.transaction import Transaction


def fill(transaction: Transaction, one: Decided) -> None:
    """Add a batch's records to a transaction: outcomes, changelog records and dead letters."""
    partition = one.partition
    number, at_ms = partition.number, one.log_time_ms
    for topic, pairs in one.effects.outgoing.items():
        count = partition.partitions_of(topic)
        by_number = placed(partition.route, topic, pairs, number, partition.partitions, count)
        for place, there in by_number.items():
            if there:
                transaction.add(topic, place, there, at_ms)
    if one.changes.deletes:
        seed, order = partition.state.seed, one.changes.order
        tombstones = [tombstone(key, seed, order) for key in one.changes.deletes]
        transaction.add(partition.route.changelog, number, tombstones, at_ms)
    if one.changes.puts:
        # After the tombstones: the last of the puts is the signature, which has to be the last
        # changelog record.
        transaction.add(partition.route.changelog, number, one.changes.puts, at_ms)
    if one.effects.dead_letters:
        letters = [
            dead_letter_record(letter, partition.topic, number)
            for letter in one.effects.dead_letters
        ]
        transaction.add(partition.route.dead_letters, number, letters, at_ms, LETTER_BYTES_MAX)


def write_stores(
    decided: Sequence[Decided], ends: Mapping[tuple[str, int], int]
) -> dict[InputPartition, Exception]:
    """Write each committed batch to its store; return the error of each partition that failed."""
    failed: dict[InputPartition, Exception] = {}
    for one in decided:
        partition = one.partition
        try:
            partition.state.write(
                one.changes, ends.get((partition.route.changelog, partition.number))
            )
        except STORE_ERRORS as error:
            failed[partition] = error
    return failed
