import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until
from support.pods.event_log import ENCODE, EventLog
from support.records.event_values import event

from state.domain.event import Event, EventStatus, SectionDescription
from state.kafka.command_log import AppendUnknown, NotAppended, TooLarge
from state.records.event import event_key
from state.views.events.writer import ATTEMPTS_MAX, Contended, EventWriter

CLOSED = EventStatus.CLOSED


def opened(known: Event | None) -> Event | None:
    return event(7) if known is None else None


def closed(known: Event | None) -> Event | None:
    assert known is not None
    if known.status is CLOSED:
        return None
    return replace(known, status=CLOSED, revision=known.revision + 1)


def renamed(name: str) -> Callable[[Event | None], Event]:
    def decide(known: Event | None) -> Event:
        assert known is not None
        return replace(known, name=name, revision=known.revision + 1)

    return decide


def test_a_change_stands_when_it_is_returned() -> None:
    log = EventLog()
    catalogue = log.catalogue()
    writer = EventWriter(catalogue, log, ENCODE)
    assert asyncio.run(writer.change(7, opened)) == catalogue.get(7) == event(7)
    assert asyncio.run(writer.change(7, opened)) == event(7)
    assert len(log.records) == 1


def test_a_writer_waits_until_its_pod_has_read_the_record() -> None:
    async def play() -> None:
        log = EventLog()
        catalogue = log.catalogue()
        writer = EventWriter(catalogue, log, ENCODE)
        log.holds = True
        writing = asyncio.create_task(writer.change(7, opened))
        await until(lambda: catalogue._wakers)
        assert not writing.done()
        log.release()
        assert await writing == event(7)

    asyncio.run(play())


def test_a_pod_that_is_cut_off_does_not_say_that_its_record_stands() -> None:
    log = EventLog()
    catalogue = log.catalogue()
    log.holds = True
    writer = EventWriter(catalogue, log, ENCODE, read_back_s=0.001)
    with pytest.raises(AppendUnknown):
        asyncio.run(writer.change(7, opened))
    assert catalogue.get(7) is None
    assert len(log.records) == 1


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), st.booleans())
def test_pods_that_write_at_one_moment_end_alike_and_the_last_record_stands(
    names: list[str], also_closed: bool
) -> None:
    async def play() -> None:
        log = EventLog()
        catalogues = [log.catalogue() for _ in names]
        writers = [EventWriter(catalogue, log, ENCODE) for catalogue in catalogues]
        await writers[0].change(7, opened)
        # Everybody decides before anybody reads what the others wrote.
        log.holds = True
        changes = [
            asyncio.create_task(writer.change(7, renamed(name)))
            for writer, name in zip(writers, names, strict=True)
        ]
        if also_closed:
            changes.append(asyncio.create_task(writers[-1].change(7, closed)))
        await asyncio.sleep(0)
        log.release()
        results = await asyncio.gather(*changes)
        stands = catalogues[0].get(7)
        assert all(catalogue.get(7) == stands for catalogue in catalogues)
        # A pod that starts after compaction reads the last record alone.
        compacted = EventLog()
        compacted.records = log.records[-1:]
        assert compacted.catalogue().get(7) == stands
        assert stands in results
        assert stands is not None
        assert (stands.status is CLOSED) == also_closed

    asyncio.run(play())


def refused(known: Event | None) -> Event | None:
    if known is None:
        return event(7)
    raise Refused


class Refused(Exception):
    """What stands is another event.

    Operator action: none.
    """


@pytest.mark.parametrize("decide", [opened, closed, refused])
def test_s8_a_pod_behind_that_finds_nothing_to_change_leaves_what_stands_as_the_last_record(
    decide: Callable[[Event | None], Event | None],
) -> None:
    async def play() -> None:
        log = EventLog()
        if decide is closed:
            log.append(event_key(7), ENCODE(event(7)))
        behind = log.catalogue()
        log.holds = True
        # What another pod did meanwhile: opened and closed.
        log.append(event_key(7), ENCODE(event(7, revision=8, status=CLOSED)))
        writing = asyncio.create_task(EventWriter(behind, log, ENCODE).change(7, decide))
        await asyncio.sleep(0)
        log.release()
        (result,) = await asyncio.gather(writing, return_exceptions=True)
        assert isinstance(result, Refused) == (decide is refused)
        compacted = EventLog()
        compacted.records = log.records[-1:]
        stands = compacted.catalogue().get(7)
        assert stands == behind.get(7)
        assert stands is not None
        assert stands.status is CLOSED

    asyncio.run(play())


def test_who_is_always_overtaken_gives_up() -> None:
    log = EventLog()
    writer = EventWriter(log.catalogue(), log, ENCODE)
    log.append(event_key(7), ENCODE(event(7)))
    revision = 1

    def overtake() -> None:
        nonlocal revision
        revision += 2
        log.append(event_key(7), ENCODE(event(7, revision=revision)))

    log.before = overtake
    with pytest.raises(Contended):
        asyncio.run(writer.change(7, renamed("x")))
    assert len(log.records) == 1 + 2 * ATTEMPTS_MAX


@pytest.mark.parametrize("error", [NotAppended("down"), AppendUnknown("lost")])
def test_what_became_of_the_append_is_told(error: Exception) -> None:
    log = EventLog()
    log.error = error
    with pytest.raises(type(error)):
        asyncio.run(EventWriter(log.catalogue(), log, ENCODE).change(7, opened))


def test_an_event_that_no_reader_would_take_is_not_written() -> None:
    log = EventLog()
    sections = tuple(SectionDescription(str(number), "x" * 190, 1, 1, ()) for number in range(400))
    with pytest.raises(TooLarge):
        asyncio.run(
            EventWriter(log.catalogue(), log, ENCODE).change(
                7, lambda _: event(7, sections=sections)
            )
        )
    assert not log.records
