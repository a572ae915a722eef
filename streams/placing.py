"""Which partition of an output a record goes to."""

from collections.abc import Sequence

from state.domain.keys import partition_of
from streams.batch import Told
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
