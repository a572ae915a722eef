"""The tables are told what records say; the handler remembers nothing and publishes nothing."""

from collections.abc import Sequence
from typing import Any

from support.issuing.orders import CODECS
from support.tables.words import ANN, EVENT, PARTITIONS, created

from schemas.topics import PURCHASE_CREATED
from state.domain.keys import buyer_key, partition_of
from streams.batch import Batch
from streams.driver import PipedRecord
from streams.fill_tables.handler import Setup, fill_tables, route
from streams.working.answers import TICK_KEY
from topology import ALLOCATION_TABLES, PURCHASE_TABLES, SLOT_TABLES

KEY = buyer_key(EVENT, b"ann")


async def nobody(words: Sequence[Any]) -> list[str]:
    raise NotImplementedError(len(words))


def test_what_says_nothing_to_the_tables_is_passed_over_and_what_cannot_be_read_is_a_letter() -> (
    None
):
    pairs = [
        (KEY, None),
        (TICK_KEY, b"1000"),
        created(ANN, ANN.orders[0]),
        (KEY, b"rubbish"),
        (b"7-bob", created(ANN, ANN.orders[0])[1]),
    ]
    where = partition_of(KEY, PARTITIONS)
    records = [
        PipedRecord(PURCHASE_CREATED.name, where, at, 1_000, *pair)
        for at, pair in enumerate(pairs)
    ]
    batch = Batch(PURCHASE_CREATED.name, where, PARTITIONS, records)
    # Nothing is remembered: no state is looked into.
    effects = fill_tables(CODECS.told)(batch, None, 0)  # type: ignore[arg-type]
    assert [record for record, _ in effects.projected] == [records[2]]
    assert [letter.reason for letter in effects.dead_letters] == [
        "BAD_WIRE_HEADER",
        "KEY_MISMATCH",
    ]
    assert effects.decisions == {"TOLD": 1}


def test_its_routes_publish_nothing_and_write_before_they_commit() -> None:
    setup = Setup(CODECS, nobody)
    for topics, decoder in (
        (PURCHASE_TABLES, CODECS.told),
        (ALLOCATION_TABLES, CODECS.heard),
        (SLOT_TABLES, CODECS.planned),
    ):
        made = route(topics, setup, decoder)
        assert (made.role, made.to, made.project) == (topics.role, (), nobody)
        assert made.owns is not None
        assert not made.owns(b"i", 0, 1)
