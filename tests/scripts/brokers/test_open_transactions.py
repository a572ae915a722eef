"""An open transaction is told with how to end it, and never ended against its coordinator."""

import asyncio
from dataclasses import replace

import pytest

from scripts.brokers.open_transactions import NotEnded, OpenTransaction, end

OPEN = OpenTransaction(
    place=("reservation-outcomes", 7),
    begins_at=123_456,
    producer_id=4,
    producer_epoch=1,
    coordinator_epoch=0,
    written_ms=1_000,
    name="seatstream-0",
    state="Ongoing",
)


def test_the_line_names_place_age_producer_and_advice() -> None:
    assert OPEN.line(now_ms=61_000) == (
        "reservation-outcomes-7:123456  last written 60 s ago  producer 4 seatstream-0: Ongoing; "
        "abort, if that producer is gone: its timeout would end it too"
    )


def test_one_that_no_coordinator_knows_says_so() -> None:
    line = replace(OPEN, name="", state="").line(now_ms=1_000)
    assert "(no transactional id): unknown; abort, if you may describe" in line


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("Ongoing", "abort"),
        ("PrepareCommit", "commit"),
        ("CompleteCommit", "commit"),
        ("PrepareAbort", "abort"),
        ("CompleteAbort", "abort"),
        ("Empty", "abort"),
    ],
)
def test_only_what_its_coordinator_has_committed_is_to_be_committed(
    state: str, advice: str
) -> None:
    assert replace(OPEN, state=state).advice().startswith(advice)


@pytest.mark.parametrize(
    ("state", "how"),
    [("PrepareCommit", "abort"), ("CompleteCommit", "abort"), ("Ongoing", "commit")],
)
def test_an_end_that_contradicts_the_coordinator_is_refused_before_a_broker_is_asked(
    state: str, how: str
) -> None:
    with pytest.raises(NotEnded):
        asyncio.run(end(None, {}, replace(OPEN, state=state), how))
