"""A sound state has no contradiction; whatever is changed in it by itself makes one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import (
    CODECS,
    PARTITIONS,
    A,
    Partition,
    confirm,
    hold,
    logs,
    opened,
)

from state.stores import envelope
from streams.change_sections import contradiction
from streams.driver import PipedRecord

FIND = contradiction(CODECS)


def found(partition: Partition) -> str:
    return FIND(partition.state.stored_items(), partition.number, PARTITIONS)


@given(logs())
def test_no_log_leads_to_a_contradiction(log: list[PipedRecord]) -> None:
    partition = Partition(log=list(log))
    partition.fold(log)
    assert found(partition) == ""


def sold() -> Partition:
    """Return a partition with a section in which one hold lives and one was paid."""
    partition = opened("....\n....")
    partition.fold(partition.append(hold("r1", 2), hold("r2", 3), confirm("r1")))
    assert found(partition) == ""
    return partition


@pytest.mark.parametrize("key", [b"rr1", b"rr2", b"l7-" + A.encode(), b"s7-" + A.encode()])
def test_a_record_that_is_gone_is_a_contradiction(key: bytes) -> None:
    partition = sold()
    del partition.store.stored[key]
    assert found(partition)


@given(st.data())
def test_a_reservation_of_a_moment_ago_is_a_contradiction(data: st.DataObject) -> None:
    partition = opened("........")
    partition.fold(partition.append(hold("r1", 2)))
    former = partition.store.stored.copy()
    partition.fold(partition.append(confirm("r1"), hold("r2", 2)))
    keys = [
        key for key in former if key[:1] in b"rs" and former[key] != partition.store.stored[key]
    ]
    key = data.draw(st.sampled_from(keys))
    partition.store.stored[key] = former[key]
    assert found(partition)


@pytest.mark.parametrize("key", [b"rnobody", b"x", b"s7-NOWHERE", b"b7-NOWHERE"])
def test_a_record_that_cannot_be_here_is_a_contradiction(key: bytes) -> None:
    partition = sold()
    partition.store.stored[key] = envelope.pack(b"\0")
    assert found(partition)
