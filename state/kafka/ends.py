"""The places of a partition whose offset an admin client can be asked for with `list_offsets`."""

from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

FIRST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
"""The first record that the partition still has."""

END: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]
"""Behind the last record; for who reads committed records, the last stable offset."""

NEWEST: Final[OffsetSpec] = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
"""The record with the highest timestamp."""


def listed(answer: "Future[Any]") -> Any:
    """Return what is told of one partition, waiting for it; raises KafkaException.

    librdkafka gives no error for a leader that was not heard in time, but an offset that is none.
    (-1 is an answer: no record is as young, or there is none.)
    """
    told = answer.result()
    if told.offset == OFFSET_INVALID:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 (its public name)
    return told
