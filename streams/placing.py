"""Which partition of an output a record goes to, and whether one lies where its key says."""

from collections.abc import Sequence

from serdes.decoding import Undecodable
from state.domain.keys import partition_of
from state.domain.reasons import Reason
from streams.batch import Batch, Record, Told
from streams.route import Route


def placed(
    route: Route,
    topic: str,
    pairs: Sequence[Told],
    partition: int,
    partitions: int,
    count: int,
) -> dict[int, Sequence[Told]]:
    """Return the records of a batch for an output, by the partition number that they go to.

    Those of one partition keep their order. partition: of the batch; partitions: how many its
    topic has; count: how many the output has, which is another number only where it is retold.
    """
    if topic not in route.by_key and count == partitions:
        return {partition: pairs}
    by_number: dict[int, list[Told]] = {}
    for pair in pairs:
        key = pair[0]
        assert key is not None, f"{topic}: a record without a key has no partition"
        by_number.setdefault(partition_of(key, count), []).append(pair)
    return dict(by_number)


def misplaced(batch: Batch, record: Record, key: bytes) -> Undecodable | None:
    """Return why another key or partition would have to have a record; None where it is right.

    key: what the record says of itself. Where that is of another partition, the worker of that
    one has the state, and nothing of it may change here.
    """
    if record.key != key:
        return Undecodable(Reason.KEY_MISMATCH.name, f"under the key {record.key!r:.100}")
    if partition_of(key, batch.partitions) != batch.partition:
        return Undecodable(Reason.WRONG_PARTITION.name, f"key {key!r:.100}")
    return None
