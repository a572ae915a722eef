"""The places of a partition whose offset an admin client can be asked for with `list_offsets`."""

from typing import Final

from confluent_kafka.admin import OffsetSpec

FIRST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
"""The first record that the partition still has."""

END: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]
"""Behind the last record; for who reads committed records, the last stable offset."""

NEWEST: Final[OffsetSpec] = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
"""The record with the highest timestamp."""
