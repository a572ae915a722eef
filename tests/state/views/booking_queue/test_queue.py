"""S004.2 to S004.13: the queue over a log without a broker keeps to the suite and to the model."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.booking_queue.log_in_memory import CODECS, LinesHands, LinesInMemory, LogInMemory
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

from state.domain.booking_queue.figures import CLEANED_AT_ONCE, ITEM_MS, LEASE_MS
from state.domain.booking_queue.items import item_id
from state.domain.booking_queue.line import Kept
from state.domain.booking_queue.queue import Enqueued, QueueAway, Taken
from state.domain.booking_queue.statuses import DeadReason
from state.kafka.command_log import AppendUnknown, NotAppended
from state.views.booking_queue.queue import KafkaBookingQueue, wall_clock_ms

PATIENT_S = 60.0


class Clock:
    """Of a log, or of a pod."""

    def __init__(self, ms: int = 1_900_000_000_000) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


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


_ops = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["enqueue", "cancel"]), st.integers(0, 8)),
        st.tuples(
            st.sampled_from(["take", "complete", "fail", "fail for good", "clean", "requeue"]),
            st.integers(0, 2),
        ),
        st.tuples(st.just("time"), st.sampled_from([1, 6_000, LEASE_MS + 1, ITEM_MS])),
    ),
    min_size=10,
    max_size=60,
)


async def _played(queue: KafkaBookingQueue, clock: Clock, ops: list[tuple[str, int]]) -> None:
    event, taken = 7, list[Taken]()
    for name, number in ops:
        item = item_id(f"u-{number}", "k", event)
        match name:
            case "enqueue":
                await queue.enqueue(event, f"u-{number}", "k", b"{}")
            case "cancel":
                await queue.cancel(item, f"u-{number}")
            case "take" if (one := await queue.take(event)) is not None:
                taken.append(one)
            case "complete" if taken:
                await queue.complete(taken[-1 - number % len(taken)], b"held")
            case "fail" | "fail for good" if taken:
                which = taken[-1 - number % len(taken)]
                await queue.fail(which, DeadReason.UNKNOWN, is_final=name != "fail")
            case "clean":
                await queue.clean(event)
            case "requeue":
                for dead in await queue.dead(event, 1):
                    await queue.requeue(dead)
            case "time":
                clock.ms += number


def _kept(lines: LinesInMemory) -> dict[str, Kept]:
    with lines.lines() as found:
        return dict(found.of(7)._items)


@given(_ops, st.integers(0, 60))
def test_a_pod_that_begins_in_the_middle_knows_of_what_came_since_what_all_others_know(
    ops: list[tuple[str, int]], first: int
) -> None:
    """The log forgets its oldest records: nothing that came later hangs on them."""

    async def go() -> None:
        clock = Clock()
        log = LogInMemory(clock_ms=clock)
        queue, lines = pod_of(log, clock)
        await _played(queue, clock, ops)
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
