"""A decided batch goes into its transaction whole, and into its store once that is committed."""

from dataclasses import replace
from pathlib import Path

from support.workers.echo import BAD, CHANGELOG, DEAD, OUT, Echo, echoed
from support.workers.parts import Consumer, partition_in_memory, parts_over
from support.workers.producers_in_memory import ProducersInMemory, TransactionInMemory

from state.domain.keys import partition_of
from state.stores.memory import MemoryStore
from state.stores.rocksdb import StoreFull
from streams.runtime.transactions.carrying import fill, write_stores
from streams.runtime.transactions.input_partition import Decided, InputPartition
from streams.settings import Settings


class FullStore(MemoryStore):
    def apply(self, *_: object) -> None:
        raise StoreFull("no space left on device")


def partition_over(directory: Path, number: int, store: MemoryStore) -> InputPartition:
    parts = parts_over(directory / str(number), Echo().route(), Consumer(), Settings())
    return partition_in_memory(parts, number, store)


def decided(partition: InputPartition, *values: bytes) -> Decided:
    partition.feed(echoed(partition.next_offset, *values), partition.next_offset)
    return partition.decide(partition.take(100))


def test_a_batch_brings_its_outcomes_its_state_and_its_dead_letters(tmp_path: Path) -> None:
    partition = partition_over(tmp_path, 2, MemoryStore())
    transaction = TransactionInMemory(ProducersInMemory())
    fill(transaction, decided(partition, b"a", BAD, b"b"))
    assert transaction._values[OUT, 2] == [b"a", b"b"]
    assert len(transaction._values[CHANGELOG, 2]) == 1
    assert transaction._values[DEAD, 2] == [BAD]


def test_records_by_key_leave_the_partition_in_the_same_transaction(tmp_path: Path) -> None:
    home = partition_of(b"k", 4)
    elsewhere = (home + 1) % 4
    partition = partition_over(tmp_path, elsewhere, MemoryStore())
    partition.route = replace(partition.route, by_key=(OUT,))
    partition.partitions = 4
    transaction = TransactionInMemory(ProducersInMemory())
    fill(transaction, decided(partition, b"a", b"b"))
    assert transaction._values[OUT, home] == [b"a", b"b"]
    assert (OUT, elsewhere) not in transaction._values
    assert len(transaction._values[CHANGELOG, elsewhere]) == 1


def test_u2_an_output_under_another_number_of_partitions_gets_records_by_their_keys(
    tmp_path: Path,
) -> None:
    partition = partition_over(tmp_path, 2, MemoryStore())
    partition._counts = {OUT: 40}
    transaction = TransactionInMemory(ProducersInMemory())
    fill(transaction, decided(partition, b"a", b"b"))
    assert transaction._values[OUT, partition_of(b"k", 40)] == [b"a", b"b"]
    assert len(transaction._values[CHANGELOG, 2]) == 1


def test_deletions_come_before_what_was_put_for_that_says_whose_transaction_it_is(
    tmp_path: Path,
) -> None:
    partition = partition_over(tmp_path, 0, MemoryStore())
    partition.state.put(b"gone", b"x")
    partition.state.write(partition.state.seal(), 1)
    partition.state.release()
    partition.state.delete(b"gone")
    transaction = TransactionInMemory(ProducersInMemory())
    fill(transaction, decided(partition, b"a"))
    first, last = transaction._values[CHANGELOG, 0]
    assert first is None
    assert last is not None


def test_a_store_that_cannot_be_written_keeps_no_other_back(tmp_path: Path) -> None:
    bad, good = FullStore(), MemoryStore()
    batches = [
        decided(partition_over(tmp_path, number, store), b"a")
        for number, store in enumerate((bad, good))
    ]
    failed = write_stores(batches, {(CHANGELOG, 0): 7, (CHANGELOG, 1): 8})
    assert list(failed) == [batches[0].partition]
    assert isinstance(failed[batches[0].partition], StoreFull)
    assert good.changelog_offset == 8
    assert b"last" in good.stored
