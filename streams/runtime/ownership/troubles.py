"""Which errors strike one partition only, and what is told and done about that partition."""

from __future__ import annotations

from typing import Final

from aiokafka.errors import KafkaError

from state.stores.envelope import CorruptValue
from state.stores.rocksdb import ClosedStore, CorruptStore, StoreFull
from streams.runtime.process.fatal import PartitionTrouble

STORE_ERRORS: Final = (ClosedStore, CorruptStore, CorruptValue, StoreFull)
"""What reading or writing a store can raise."""


def trouble_of(error: Exception) -> PartitionTrouble:
    """Return the trouble that an error is to the one partition that it strikes."""
    if isinstance(error, PartitionTrouble):
        return error
    if isinstance(error, (CorruptStore, CorruptValue)):
        message = f"its store is damaged, and is made anew from the changelog: {error}"
        return PartitionTrouble(message, "store", forget_store=True)
    if isinstance(error, StoreFull):
        return PartitionTrouble(f"its disk is full, free space: {error}", "store")
    if isinstance(error, (KafkaError, OSError)):
        message = f"it could not be read: {error!r}. Look at the brokers"
        return PartitionTrouble(message, "changelog")
    return PartitionTrouble(f"its store could not be opened or read: {error!r}", "store")
