"""What becomes of an error that strikes one partition."""

import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError

from state.stores.envelope import CorruptValue
from state.stores.rocksdb import ClosedStore, CorruptStore, StoreFull
from streams.runtime.ownership.troubles import STORE_ERRORS, trouble_of
from streams.runtime.process.fatal import PartitionTrouble


@pytest.mark.parametrize(
    ("error", "reason", "forget_store", "action"),
    [
        (CorruptStore("checksum"), "store", True, "is made anew from the changelog"),
        (CorruptValue("checksum"), "store", True, "is made anew from the changelog"),
        (ClosedStore("closed, and asked"), "store", False, "could not be opened or read"),
        (StoreFull("no space left"), "store", False, "free space"),
        (KafkaConnectionError(), "changelog", False, "Look at the brokers"),
        (NotLeaderForPartitionError(), "changelog", False, "Look at the brokers"),
        (TimeoutError(), "changelog", False, "Look at the brokers"),
        (ValueError("LOCK"), "store", False, "could not be opened or read"),
    ],
)
def test_each_error_names_what_is_wrong_and_what_to_do(
    error: Exception, reason: str, forget_store: bool, action: str
) -> None:
    trouble = trouble_of(error)
    assert trouble.reason == reason
    assert trouble.forget_store is forget_store
    assert action in str(trouble)
    assert type(error).__name__ in str(trouble) or str(error) in str(trouble)


def test_a_trouble_stays_the_one_that_it_is() -> None:
    trouble = PartitionTrouble("input was lost", "input")
    assert trouble_of(trouble) is trouble


@pytest.mark.parametrize("kind", STORE_ERRORS)
def test_no_error_of_a_store_is_put_down_to_the_brokers(kind: type[Exception]) -> None:
    assert trouble_of(kind("x")).reason == "store"
