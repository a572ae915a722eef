"""What the readings of all topics have in common."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.records.status_records import IDS, counts, value_of

from schemas.topics import SECTION_STATUS
from serdes.decoding import Decoded, TopicDecoder, Undecodable, UnknownRecordType, UnknownSchema
from serdes.registry.ids import SchemaIds
from state.views.following.reading import Reading, Records, fault_of, knows_no_more, until


def test_a_reading_is_complete_when_each_partition_was_read_to_its_first_end() -> None:
    reading = Reading(2, never_ns=-5)
    assert not reading.is_complete()
    reading.partitions[0].ends_at(0, 70)
    assert not reading.is_complete()
    reading.partitions[1].ends_at(0, 90)
    assert reading.is_complete()
    assert reading.all_known_ns() == 70


def test_a_flood_of_bad_records_is_counted_whole_and_told_at_powers_of_two(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad: Counter[str] = Counter()
    decoder = TopicDecoder(SECTION_STATUS, IDS)
    records = Records(decoder, knows_no_more, logging.getLogger("flood"), "a word", bad)
    for number in range(1_000):
        records.skip("TOO_LONG", f"word {number}")
    records.skip("TOO_SHORT", "word")
    assert bad == {"TOO_LONG": 1_000, "TOO_SHORT": 1}
    told = [record.getMessage() for record in caplog.records]
    assert told[:3] == [
        "skipped a word: TOO_LONG (1 so far): word 0",
        "skipped a word: TOO_LONG (2 so far): word 1",
        "skipped a word: TOO_LONG (4 so far): word 3",
    ]
    assert len(told) == 10 + 1


@pytest.mark.parametrize("is_learned", [True, False])
def test_the_registry_is_asked_once_about_an_id_that_nobody_knows(*, is_learned: bool) -> None:
    decoder = TopicDecoder(SECTION_STATUS, SchemaIds({}))
    value = value_of(counts(1, 4))
    asked = []

    def learn(schema_id: int) -> bool:
        asked.append(schema_id)
        if is_learned:
            decoder.by_header.update(TopicDecoder(SECTION_STATUS, IDS).by_header)
        return is_learned

    log = logging.getLogger("learning")
    verdict = Records(decoder, learn, log, "a status", Counter()).verdict(value)
    assert len(asked) == 1
    assert isinstance(verdict, Decoded if is_learned else UnknownSchema)


def test_what_says_nothing_has_a_reason() -> None:
    assert fault_of(Undecodable("TRUNCATED", "at byte 4")) == ("TRUNCATED", "at byte 4")
    assert fault_of(UnknownSchema(77)) == ("UNKNOWN_SCHEMA", "schema 77")
    assert fault_of(UnknownRecordType("a ticket"))[0] == "UNKNOWN_RECORD_TYPE"


def test_whoever_waits_is_woken_and_gone_afterwards_however_it_ends() -> None:
    wakers: list[Callable[[], None]] = []

    @contextmanager
    def waking(wake: Callable[[], None]) -> Iterator[None]:
        wakers.append(wake)
        try:
            yield
        finally:
            wakers.remove(wake)

    async def play() -> None:
        met: list[bool] = []
        ended: list[bool] = []

        def wait(timeout_s: float) -> asyncio.Task[bool]:
            async def go() -> bool:
                return await until(lambda: bool(met), timeout_s, waking, lambda: bool(ended))

            return asyncio.create_task(go())

        one, late, cancelled = wait(60), wait(0.001), wait(60)
        assert not await late
        assert len(wakers) == 2
        cancelled.cancel()
        await asyncio.wait({cancelled})
        assert len(wakers) == 1
        wakers[0]()
        await asyncio.sleep(0)
        assert not one.done()
        met.append(True)
        wakers[0]()
        assert await one
        assert wakers == []
        met.clear()
        ended_one = wait(60)
        await asyncio.sleep(0)
        assert len(wakers) == 1
        ended.append(True)
        wakers[0]()
        assert not await ended_one

    asyncio.run(play())
