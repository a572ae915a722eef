"""S004.2 to S004.13: the queue over a log without a broker keeps to the suite and to the model."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.booking_queue.log_in_memory import (
    CODECS,
    IDS,
    LinesHands,
    LinesInMemory,
    LogInMemory,
)
from support.booking_queue.played import EVENT, Clock, ops, played
from support.booking_queue.suite import (
    CASES,
    LENGTH_MAX,
    Case,
    Step,
    agrees,
    filled,
    put,
    seen,
    steps,
    taken_of,
)
from support.pods.conditions import until
from support.redis.events import EVENTS

from schemas.topics import BOOKING_QUEUE
from serdes.decoding import Decoded, TopicDecoder
from state.domain.booking_queue.figures import CLEANED_AT_ONCE
from state.domain.booking_queue.line import Kept
from state.domain.booking_queue.queue import Enqueued, QueueAway
from state.domain.keys import partition_of
from state.kafka.command_log import AppendUnknown, NotAppended
from state.records.event import event_key
from state.views.booking_queue import queue as queue_module
from state.views.booking_queue.contents import BookingLines
from state.views.booking_queue.queue import KafkaBookingQueue, wall_clock_ms
from state.views.following.ages import boot_clock_ns

PATIENT_S = 60.0
DECODER = TopicDecoder(BOOKING_QUEUE, IDS)


def pod_of(
    log: LogInMemory, clock: Callable[[], int] = wall_clock_ms, **options: int
) -> tuple[KafkaBookingQueue, LinesInMemory]:
    lines = LinesInMemory(log, **options)
    return KafkaBookingQueue(lines, log, CODECS, answer_s=PATIENT_S, clock_ms=clock), lines


def hasty(lines: LinesInMemory, log: LogInMemory) -> KafkaBookingQueue:
    """Return the queue of a pod that nobody answers: whatever it waits for, it waits in vain."""
    return KafkaBookingQueue(lines, log, CODECS, answer_s=0.05)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("times", [1, 2])
def test_a_queue_in_a_log_keeps_to_the_suite(case: Case, times: int) -> None:
    """A record that was appended twice, by who lost the first answer, has the effect of once."""

    async def go() -> None:
        queue, lines = pod_of(LogInMemory(times=times), length_max=LENGTH_MAX)
        await case(queue, LinesHands(lines))

    asyncio.run(go())


@settings(phases=[Phase.explicit, Phase.generate])
@given(steps)
def test_a_queue_in_a_log_does_as_the_model(told: list[Step]) -> None:
    async def go() -> None:
        queue, lines = pod_of(LogInMemory(), length_max=LENGTH_MAX)
        await agrees(queue, LinesHands(lines), told)

    asyncio.run(go())


def _kept(lines: LinesInMemory) -> dict[str, Kept]:
    with lines.lines() as found:
        return dict(found.of(EVENT)._items)


@given(ops, st.integers(0, 60))
def test_a_pod_that_begins_in_the_middle_knows_of_what_came_since_what_all_others_know(
    told: list[tuple[str, int]], first: int
) -> None:
    """The log forgets its oldest records: nothing that came later hangs on them."""

    async def go() -> None:
        clock = Clock()
        log = LogInMemory(clock_ms=clock)
        queue, lines = pod_of(log, clock)
        await played(queue, clock, told)
        all_that_is_known = _kept(lines)
        assert _kept(LinesInMemory(log)) == all_that_is_known
        # Of these it may know less: but no item is known for as long as the log keeps records.
        former = LinesInMemory(LogInMemory())
        for record in log.records[:first]:
            former.follow(record)
        late = _kept(LinesInMemory(log, first))
        for item in all_that_is_known.keys() - _kept(former).keys():
            assert late[item] == all_that_is_known[item]

    asyncio.run(go())


def test_two_pods_say_the_same_and_give_each_item_to_one_worker() -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        (one, _), (other, _) = pod_of(log), pod_of(log)
        items = await filled(one, event, 6)
        assert await one.look(items[3]) == await other.look(items[3])
        taken = [await taken_of(queue, event) for queue in (one, other) * 3]
        assert [had.item.id for had in taken] == items
        # The other pod records what the one has taken: who has the token has the item.
        assert (await other.complete(taken[0], b"held")).is_recorded
        assert (await seen(one, items[0])).outcome == b"held"

    asyncio.run(go())


def test_of_two_pods_that_ask_for_the_same_item_the_one_that_comes_later_gets_the_next() -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        (one, _), (other, _) = pod_of(log), pod_of(log)
        items = await filled(one, event, 2)
        log.holds = True
        taking = [asyncio.create_task(queue.take(event)) for queue in (one, other)]
        await until(lambda: len(log.held) == 2)
        log.release()
        had = [taken.item.id for taken in await asyncio.gather(*taking) if taken]
        assert had == items

    asyncio.run(go())


def named_in(log: LogInMemory) -> list[str]:
    """Return the items that records which are on their way name, in the order of the log."""
    found = []
    for record in log.held:
        verdict = DECODER.decode(record.value())
        assert isinstance(verdict, Decoded)
        assert verdict.name.endswith("TakeItem")
        found.append(verdict.fields[1].decode())
    return found


def test_workers_of_a_pod_name_items_side_by_side_in_the_order_of_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_module, "NAMED_MAX", 3)

    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, _ = pod_of(log)
        items = await filled(queue, event, 5)
        log.holds = True
        taking = [asyncio.create_task(queue.take(event)) for _ in items]
        await until(lambda: len(log.held) == 3)
        # No more than so many are on their way.
        for _ in range(20):
            await asyncio.sleep(0)
        assert named_in(log) == items[:3]
        log.release()
        had = [taken.item.id for taken in await asyncio.gather(*taking) if taken]
        assert had == items
        assert not queue._named
        assert await queue.take(event) is None

    asyncio.run(go())


def test_whose_record_does_not_get_into_the_log_is_first_again() -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, _ = pod_of(log)
        items = await filled(queue, event, 2)
        log.refusal = NotAppended("no")
        taking = [asyncio.create_task(queue.take(event)) for _ in items]
        assert [type(one) for one in await asyncio.gather(*taking, return_exceptions=True)] == [
            QueueAway
        ] * 2
        log.refusal = None
        assert [(await taken_of(queue, event)).item.id for _ in items] == items

    asyncio.run(go())


def test_a_worker_that_is_cancelled_leaves_no_item_named() -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, _ = pod_of(log)
        [item] = await filled(queue, event, 1)
        log.holds = True
        reached = await queue.reach(event)
        assert isinstance(reached, asyncio.Future)
        # Before its record is on its way, and so for ever where it is forgotten.
        reached.cancel()
        await asyncio.wait([reached])
        assert not log.held
        log.release()
        assert (await taken_of(queue, event)).item.id == item

    asyncio.run(go())


def test_a_partition_that_nobody_hears_of_is_no_trouble_of_events_on_others() -> None:
    async def go() -> None:
        lines = BookingLines(DECODER)
        reading = lines.new_reading(2)
        reading.partitions[0].ends_at(0, boot_clock_ns())
        lines.publish(reading)
        queue = KafkaBookingQueue(lines, LogInMemory(), CODECS)
        [here, *_], [away, *_] = (
            [event for event in range(99) if partition_of(event_key(event), 2) == number]
            for number in (0, 1)
        )
        assert await queue.events() == ()
        assert await queue.take(here) is None
        assert (await queue.standing(here)).length == 0
        for ask in (queue.take, queue.standing, queue.clean):
            with pytest.raises(QueueAway):
                await ask(away)

    asyncio.run(go())


@pytest.mark.parametrize("refusal", [NotAppended("no"), AppendUnknown("perhaps"), None])
def test_what_is_not_read_back_may_have_happened_and_is_the_same_when_asked_again(
    refusal: Exception | None,
) -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, lines = pod_of(log)
        log.refusal, log.holds = refusal, True
        with pytest.raises(QueueAway):
            await hasty(lines, log).enqueue(event, "ann", "k", b"{}")
        log.refusal = None
        log.release()
        again = await queue.enqueue(event, "ann", "k", b"{}")
        assert isinstance(again, Enqueued)
        assert again.is_new == isinstance(refusal, NotAppended)
        assert (await queue.standing(event)).length == 1

    asyncio.run(go())


def test_a_pod_that_has_not_read_the_log_to_its_end_says_nothing_of_it() -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, lines = pod_of(log)
        item = await put(queue, event, "ann")
        before = len(log.records)
        lines.now_ns += 10 * 10**9
        queue = hasty(lines, log)
        asked: list[Callable[[], Awaitable[object]]] = [
            lambda: queue.look(item.id),
            lambda: queue.look(f"{'a' * 26}-{event}"),
            lambda: queue.take(event),
            lambda: queue.cancel(item.id, "ann"),
            lambda: queue.clean(event),
            lambda: queue.standing(event),
            queue.events,
            lambda: queue.dead(event, 1),
            lambda: queue.requeue(item.id),
            lambda: queue.enqueue(event, "ben", "k", b"{}"),
        ]
        for ask in asked:
            with pytest.raises(QueueAway):
                await ask()
        assert len(log.records) == before

    asyncio.run(go())


@pytest.mark.parametrize("away_ms", [-31_536_000_000, 31_536_000_000])
def test_no_clock_of_a_pod_ends_a_lease_or_the_time_of_an_item(away_ms: int) -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, _ = pod_of(log)
        skewed, _ = pod_of(log, lambda: wall_clock_ms() + away_ms)
        items = await filled(queue, event, 2)
        had = await taken_of(queue, event)
        assert (await taken_of(skewed, event)).item.id == items[1]
        assert (await skewed.clean(event))[:3] == (0, 0, 0)
        assert await skewed.take(event) is None
        assert (await queue.complete(had, b"held")).is_recorded

    asyncio.run(go())


def test_who_looks_and_finds_nothing_to_do_writes_nothing() -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, _ = pod_of(log)
        item = await put(queue, event, "ann")
        await taken_of(queue, event)
        before = len(log.records)
        for _ in range(3):
            assert await queue.take(event) is None
            await queue.clean(event)
            await queue.look(item.id)
            await queue.look(f"{'a' * 26}-{event}")
            assert not await queue.requeue(item.id)
        assert len(log.records) == before

    asyncio.run(go())


def test_one_step_of_cleaning_moves_a_hundred() -> None:
    async def go() -> None:
        log, event = LogInMemory(), next(EVENTS)
        queue, lines = pod_of(log)
        items = await filled(queue, event, 2 * CLEANED_AT_ONCE + 2)
        for item in items[:-1]:
            await LinesHands(lines).lapse(item)
        assert (await queue.clean(event)).lapsed == CLEANED_AT_ONCE
        assert (await taken_of(queue, event)).item.id == items[-1]
        assert (await queue.standing(event)).expired == len(items) - 1

    asyncio.run(go())
