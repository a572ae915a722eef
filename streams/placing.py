"""Which partition of an output a record goes to."""

from collections.abc import Sequence

from state.domain.keys import partition_of
from streams.batch import Told
from streams.route import Route


def placed(
    route: Route, topic: str, pairs: Sequence[Told], partition: int, partitions: int
) -> dict[int, Sequence[Told]]:
    """Return the records of a batch for an output, by the partition number that they go to.

    Those of one partition keep their order. partition: of the batch; partitions: how many its
    topic has, and so the output.
    """
    if topic not in route.by_key:
        return {partition: pairs}
    by_number: dict[int, list[Told]] = {}
    for pair in pairs:
        key = pair[0]
        assert key is not None, f"{topic}: a record without a key has no partition"
        by_number.setdefault(partition_of(key, partitions), []).append(pair)
    return dict(by_number)
