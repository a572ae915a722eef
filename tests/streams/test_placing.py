"""Records go to the partition of their batch, or of their key where the route says so."""

from hypothesis import given
from hypothesis import strategies as st

from state.domain.keys import partition_of
from streams.batch import Batch, Effects, Outgoing, State
from streams.placing import placed
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
