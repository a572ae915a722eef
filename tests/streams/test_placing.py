"""Records go where the route says, and one that lies elsewhere than its key says is found."""

from hypothesis import given
from hypothesis import strategies as st
from support.workers.echo import FakeRecord

from state.domain.keys import partition_of
from state.domain.reasons import Reason
from streams.batch import Batch, Effects, Outgoing, State
from streams.placing import misplaced, placed
from streams.route import Route


def nothing(batch: Batch, state: State, log_time_ms: int) -> Effects:
    return Effects()


ROUTE = Route("r", "s", nothing, ("beside", "home"), "c", "d", by_key=("home",))


@given(st.lists(st.binary(max_size=9)), st.integers(0, 4), st.integers(1, 5), st.integers(1, 5))
def test_each_record_goes_to_one_place_in_its_order(
    keys: list[bytes], partition: int, partitions: int, others: int
) -> None:
    pairs = [Outgoing(key, b"%d" % number) for number, key in enumerate(keys)]
    beside = placed(ROUTE, "beside", pairs, partition, partitions, partitions)
    assert beside == {partition: pairs}
    # An output under another number has no partition that belongs to the batch.
    for topic, count in (("home", partitions), ("beside", others)):
        if topic == "beside" and count == partitions:
            continue
        by_number = placed(ROUTE, topic, pairs, partition, partitions, count)
        for number in range(count):
            expected = [pair for pair in pairs if partition_of(pair[0] or b"", count) == number]
            assert list(by_number.get(number, ())) == expected


@given(st.binary(min_size=1, max_size=9), st.none() | st.binary(max_size=9), st.integers(0, 3))
def test_a_record_is_in_place_under_its_own_key_in_the_partition_of_that(
    key: bytes, other: bytes | None, partition: int
) -> None:
    batch = Batch("s", partition, 4, ())
    wrong = misplaced(batch, FakeRecord(0, key=key), key)
    reason = "" if wrong is None else wrong.reason
    is_here = partition_of(key, 4) == partition
    assert reason == ("" if is_here else Reason.WRONG_PARTITION.name)
    if other != key:
        wrong = misplaced(batch, FakeRecord(0, key=other), key)
        assert wrong is not None
        assert wrong.reason == Reason.KEY_MISMATCH.name
