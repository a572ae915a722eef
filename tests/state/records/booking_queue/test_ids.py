"""Ids of a request go through an item, and nothing else does in their place."""

import pytest

from infra.process.log_lines import NONE, Correlation
from state.records.booking_queue.ids import encoded_ids, ids_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("ids", [Correlation("c-7"), Correlation("c-7", TRACE)])
def test_ids_are_read_as_they_were_written(ids: Correlation) -> None:
    assert ids_of("item", encoded_ids(ids)) == ids


@pytest.mark.parametrize(
    "text", [b"", encoded_ids(NONE), b" ", b"\xff\n", b"a b c", "é".encode(), b"x" * 65]
)
def test_an_item_that_carries_no_good_ids_is_followed_by_its_own(text: bytes) -> None:
    found = ids_of("item", text)
    assert found.traceparent == ""
    assert found.id in {"item", "a"}
    assert ids_of("item", b"\xff " + TRACE.encode()) == Correlation("item", TRACE)
