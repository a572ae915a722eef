"""Spans of records: told of those whose traces a collector wants, once they are committed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infra.process import spans
from infra.process.record_ids import correlation_in
from streams.batch import Record
from streams.runtime.transactions.input_partition import Decided, InputPartition

Traced = Sequence[tuple[str, str]]
"""Places (`topic-number`) and traceparents of records."""


def traced_in(
    taken: Iterable[tuple[InputPartition, Sequence[Record]]], decided: Sequence[Decided]
) -> Traced:
    """Return the traced records of what was decided; none where nobody is told."""
    if not spans.is_on():
        return ()
    places = {one.partition.place for one in decided}
    return [
        (partition.place, traceparent)
        for partition, records in taken
        if partition.place in places
        for record in records
        if (traceparent := correlation_in(record.headers or ()).traceparent)
    ]


def tell_committed(traced: Traced, took_s: float) -> None:
    """Tell of records that were committed just now; took_s: since they began to be decided."""
    for place, traceparent in traced:
        topic, _, number = place.rpartition("-")
        spans.tell(
            f"decide {topic}",
            spans.Kind.CONSUMER,
            traceparent,
            took_s,
            (
                ("messaging.system", "kafka"),
                ("messaging.destination.name", topic),
                ("messaging.destination.partition.id", number),
            ),
        )
