"""What every booking queue keeps to, whatever keeps it: `CASES`, and `agrees` with the model.

Nobody waits for time: what has to end is ended by the hands that the implementation brings.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from hypothesis import strategies as st
from support.booking_queue.model import ModelOfItem, ModelOfQueue
from support.redis.events import EVENTS

from state.domain.booking_queue.figures import ITEM_MS, RETRIES_MAX, in_turn
from state.domain.booking_queue.items import Item, event_of
from state.domain.booking_queue.queue import (
    BookingQueue,
    Enqueued,
    NotTaken,
    Taken,
    nobody_told,
)
from state.domain.booking_queue.statuses import OVER, DeadReason, ItemStatus

LENGTH_MAX = 6
"""Of the queues that the suite is run with."""

USERS = ("ann", "Ænne", "{x}:*")
KEYS = ("k", "0", "a b")
REQUESTS = (b"{}", b"\x00\xff\r\n")


class Hands(Protocol):
    """What moves time for an item; nothing where it does not stand so."""

    async def lapse(self, item: str) -> None: ...
    async def end_lease(self, item: str) -> None: ...
    async def make_due(self, item: str) -> None: ...


Case = Callable[[BookingQueue, Hands], Awaitable[None]]


async def put(queue: BookingQueue, event: int, user: str, key: str = "k") -> Item:
    enqueued = await queue.enqueue(event, user, key, b"{}")
    assert isinstance(enqueued, Enqueued), enqueued
    return enqueued.item


async def filled(queue: BookingQueue, event: int, users: int) -> list[str]:
    return [(await put(queue, event, f"u-{at}")).id for at in range(users)]


async def seen(queue: BookingQueue, item: str) -> Item:
    found = await queue.look(item)
    assert found is not None
    return found


async def taken_of(queue: BookingQueue, event: int) -> Taken:
    taken = await queue.take(event)
    assert taken is not None
    return taken


async def first_come_are_first_taken_and_places_move_up(queue: BookingQueue, hands: Hands) -> None:
    event = next(EVENTS)
    items = await filled(queue, event, 4)
    assert [(await seen(queue, item)).position for item in items] == [1, 2, 3, 4]
    for at, item in enumerate(items):
        taken = await taken_of(queue, event)
        assert taken.item.id == item
        assert (taken.item.status, taken.item.attempts) == (ItemStatus.PROCESSING, 1)
        assert [(await seen(queue, of)).position for of in items[at + 1 :]] == [
            *range(1, len(items) - at)
        ]
        assert (await queue.complete(taken, b"held")).is_recorded
        done = await seen(queue, item)
        assert (done.status, done.outcome, done.position) == (ItemStatus.COMPLETED, b"held", 0)
    assert await queue.take(event) is None


async def the_line_is_told_in_its_order_a_part_at_a_time(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    items = await filled(queue, event, 5)
    await queue.fail(await taken_of(queue, event), DeadReason.UNKNOWN, is_final=False)
    await hands.make_due(items[0])
    await taken_of(queue, event)
    # The first one is with a worker again.
    line = await queue.line(event, 0, 3)
    assert [(one.item_id, one.user_id, one.position) for one in line] == [
        (items[at], f"u-{at}", at) for at in (1, 2, 3)
    ]
    assert [one.item_id for one in await queue.line(event, 3, 100)] == items[4:]
    assert await queue.line(event, 4, 100) == ()
    await hands.end_lease(items[0])
    await queue.clean(event)
    [first] = await queue.line(event, 0, 1)
    assert (first.item_id, first.attempts, first.round, first.ids) == (items[0], 2, 0, b"")


async def an_item_says_what_was_asked_by_whom_and_until_when(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    for user, request in ((USERS[1], REQUESTS[1]), (USERS[2], b"x" * 8_192)):
        enqueued = await queue.enqueue(event, user, "k", request)
        assert isinstance(enqueued, Enqueued)
        item = await seen(queue, enqueued.item.id)
        assert item == enqueued.item
        assert (item.user_id, item.request, item.event_id) == (user, request, event)
        assert item.expires_ms - item.enqueued_ms == ITEM_MS
        assert event_of(item.id) == event


async def items_that_are_looked_at_together_are_told_as_each_alone(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    first, second = await filled(queue, event, 2)
    await queue.complete(await taken_of(queue, event), b"held")
    nobody = f"{'a' * 26}-{event}"
    asked = (second, nobody, first)
    assert await queue.look_all(event, asked) == tuple([await queue.look(of) for of in asked])
    assert [one and one.status for one in await queue.look_all(event, asked)] == [
        ItemStatus.WAITING,
        None,
        ItemStatus.COMPLETED,
    ]
    assert await queue.look_all(event, ()) == ()


async def the_same_request_is_one_item_whatever_became_of_it(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    item = await put(queue, event, "ann")
    for _ in range(2):
        again = await queue.enqueue(event, "ann", "k", b"{}")
        assert again == Enqueued(item, is_new=False)
    assert await queue.enqueue(event, "ann", "k", b"[]") is NotTaken.OTHER
    await queue.complete(await taken_of(queue, event), b"held")
    again = await queue.enqueue(event, "ann", "k", b"{}")
    assert isinstance(again, Enqueued)
    assert (again.is_new, again.item.status) == (False, ItemStatus.COMPLETED)
    assert await queue.enqueue(event, "ann", "k", b"[]") is NotTaken.OTHER
    assert await queue.take(event) is None


async def ids_of_the_first_request_stay_with_its_item_and_tell_none_apart(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    first = b"c-1 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
    for ids in (first, b"c-2", b""):
        enqueued = await queue.enqueue(event, "ann", "k", b"{}", ids)
        assert isinstance(enqueued, Enqueued)
        assert enqueued.item.ids == first
    taken = await taken_of(queue, event)
    assert taken.item.ids == first
    await queue.complete(taken, b"held")
    assert (await seen(queue, taken.item.id)).ids == first
    assert (await put(queue, event, "ben")).ids == b""


async def a_full_queue_refuses_and_says_so_until_somebody_leaves(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    items = await filled(queue, event, LENGTH_MAX)
    assert await queue.enqueue(event, "late", "k", b"{}") is NotTaken.FULL
    # Who is in already is told so, and who is worked on counts.
    assert isinstance(await queue.enqueue(event, "u-0", "k", b"{}"), Enqueued)
    taken = await taken_of(queue, event)
    assert await queue.enqueue(event, "late", "k", b"{}") is NotTaken.FULL
    await queue.fail(taken, DeadReason.SERVICE_ERROR, is_final=False)
    assert await queue.enqueue(event, "late", "k", b"{}") is NotTaken.FULL
    assert (await queue.standing(event)).length == LENGTH_MAX
    # Another event has room of its own.
    await put(queue, next(EVENTS), "late")
    await queue.cancel(items[-1], f"u-{LENGTH_MAX - 1}")
    assert isinstance(await queue.enqueue(event, "late", "k", b"{}"), Enqueued)


async def only_its_owner_cancels_an_item_and_once_is_as_good_as_twice(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    first, second = await filled(queue, event, 2)
    assert await queue.cancel(first, "u-1") is None
    assert (await seen(queue, first)).status is ItemStatus.WAITING
    for _ in range(2):
        cancelled = await queue.cancel(first, "u-0")
        assert cancelled is not None
        assert (cancelled.status, cancelled.position) == (ItemStatus.CANCELLED, 0)
    assert (await seen(queue, second)).position == 1
    assert (await taken_of(queue, event)).item.id == second
    assert await queue.cancel("a" * 26 + f"-{event}", "u-0") is None
    assert await queue.cancel("no id", "u-0") is None
    assert await queue.look("no id") is None
    assert (await queue.standing(event)).cancelled == 1


async def an_item_in_work_is_not_cancelled_and_its_outcome_counts(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    item = await put(queue, event, "ann")
    taken = await taken_of(queue, event)
    still = await queue.cancel(item.id, "ann")
    assert still is not None
    assert still.status is ItemStatus.PROCESSING
    await hands.lapse(item.id)
    await queue.clean(event)
    assert (await seen(queue, item.id)).status is ItemStatus.PROCESSING
    assert (await queue.complete(taken, b"held")).is_recorded
    assert (await seen(queue, item.id)).outcome == b"held"
    after = await queue.cancel(item.id, "ann")
    assert after is not None
    assert after.status is ItemStatus.COMPLETED


async def what_a_dead_worker_had_comes_back_to_its_place_and_its_late_word_counts_for_nothing(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    first, second = await filled(queue, event, 2)
    lost = await taken_of(queue, event)
    await hands.end_lease(first)
    again = await taken_of(queue, event)
    assert again.item.id == first == lost.item.id
    assert again.item.attempts == 2
    assert again.item.key == lost.item.key
    for settled in (
        await queue.complete(lost, b"late"),
        await queue.fail(lost, DeadReason.UNKNOWN, is_final=True),
    ):
        assert settled == (False, ItemStatus.PROCESSING)
    for _ in range(2):
        assert await queue.complete(again, b"held") == (True, ItemStatus.COMPLETED)
    assert (await seen(queue, first)).outcome == b"held"
    assert (await taken_of(queue, event)).item.id == second


async def who_kills_every_worker_is_set_aside_after_so_many(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    item = await put(queue, event, "ann")
    for _ in range(RETRIES_MAX + 1):
        assert (await taken_of(queue, event)).item.id == item.id
        await hands.end_lease(item.id)
    assert await queue.take(event) is None
    dead = await seen(queue, item.id)
    assert (dead.status, dead.reason) == (ItemStatus.DEAD, DeadReason.TIMEOUT)
    assert dead.request == b"{}"


async def a_failed_attempt_pauses_and_holds_up_nobody(queue: BookingQueue, hands: Hands) -> None:
    event = next(EVENTS)
    first, second = await filled(queue, event, 2)
    for _ in range(RETRIES_MAX):
        taken = await taken_of(queue, event)
        assert taken.item.id == first
        settled = await queue.fail(taken, DeadReason.SERVICE_ERROR, is_final=False)
        assert settled == (True, ItemStatus.WAITING)
        assert (await seen(queue, first)).position == 1
        await hands.make_due(first)
    taken = await taken_of(queue, event)
    assert taken.item.attempts == RETRIES_MAX + 1
    settled = await queue.fail(taken, DeadReason.SERVICE_ERROR, is_final=False)
    assert settled == (True, ItemStatus.DEAD)
    assert (await seen(queue, first)).reason == DeadReason.MAX_RETRIES_EXCEEDED
    # Who pauses is passed by.
    taken = await taken_of(queue, event)
    assert taken.item.id == second
    await queue.fail(taken, DeadReason.SERVICE_ERROR, is_final=False)
    third = await put(queue, event, "third")
    assert (await taken_of(queue, event)).item.id == third.id


async def whose_time_is_over_expires_and_is_passed_by(queue: BookingQueue, hands: Hands) -> None:
    event = next(EVENTS)
    items = await filled(queue, event, 4)
    taken = await taken_of(queue, event)
    await queue.fail(taken, DeadReason.SERVICE_ERROR, is_final=False)
    for item in items[:2]:
        await hands.lapse(item)
    assert (await taken_of(queue, event)).item.id == items[2]
    assert [(await seen(queue, item)).status for item in items] == [
        ItemStatus.EXPIRED,
        ItemStatus.EXPIRED,
        ItemStatus.PROCESSING,
        ItemStatus.WAITING,
    ]
    assert (await queue.complete(taken, b"late")).status is ItemStatus.EXPIRED
    assert (await queue.standing(event)).expired == 2


async def a_dead_item_is_tried_anew_or_removed_by_an_operator(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    first, _ = await filled(queue, event, 2)
    assert not await queue.requeue(first)
    assert not await queue.remove(first)
    taken = await taken_of(queue, event)
    await queue.fail(taken, DeadReason.INVALID_DATA, is_final=True)
    assert (await queue.standing(event)).dead == 1
    assert await queue.dead(event, 10) == (first,)
    assert (await seen(queue, first)).reason == DeadReason.INVALID_DATA
    assert [await queue.requeue(first) for _ in range(2)] == [True, False]
    again = await seen(queue, first)
    assert (again.position, again.attempts, again.round, again.reason) == (2, 0, 1, "")
    assert again.key != taken.item.key
    await taken_of(queue, event)
    anew = await taken_of(queue, event)
    assert anew.item.id == first
    assert not (await queue.complete(taken, b"late")).is_recorded
    await queue.fail(anew, DeadReason.INVALID_DATA, is_final=True)
    assert [await queue.remove(first) for _ in range(2)] == [True, False]
    assert await queue.look(first) is None
    assert await queue.dead(event, 10) == ()
    assert not await queue.requeue("no id")
    assert not await queue.remove("no id")
    assert (await queue.standing(event)).dead == 0


async def cleaning_moves_a_bounded_number_and_tells_what_it_moved(
    queue: BookingQueue, hands: Hands
) -> None:
    event = next(EVENTS)
    items = await filled(queue, event, 3)
    lost = await taken_of(queue, event)
    await hands.end_lease(lost.item.id)
    await hands.lapse(items[1])
    before = await queue.standing(event)
    assert (before.waiting, before.taken, before.expired) == (2, 1, 0)
    cleaned = await queue.clean(event)
    assert (cleaned.given_back, cleaned.died, cleaned.lapsed) == (1, 0, 1)
    assert (cleaned.waiting, cleaned.taken, cleaned.enqueued) == (2, 0, 3)
    assert (await queue.clean(event))[:3] == (0, 0, 0)


async def whom_time_has_ended_the_process_that_ended_them_is_told(
    queue: BookingQueue, hands: Hands
) -> None:
    event, over = next(EVENTS), list[str]()
    queue.over = over.append
    cleaned, passed, silent = await filled(queue, event, 3)
    await hands.lapse(cleaned)
    assert (await queue.clean(event)).lapsed == 1
    assert over == [cleaned]
    await hands.lapse(passed)
    assert (await taken_of(queue, event)).item.id == silent
    assert over == [cleaned, passed]
    for attempts in range(1, RETRIES_MAX + 2):
        assert (await seen(queue, silent)).attempts == attempts
        assert over == [cleaned, passed]
        await hands.end_lease(silent)
        await queue.take(event)
    assert over == [cleaned, passed, silent]
    queue.over = nobody_told


async def every_event_with_items_is_found_and_served_in_turn(
    queue: BookingQueue, hands: Hands
) -> None:
    crowded, quiet = next(EVENTS), next(EVENTS)
    many = await filled(queue, crowded, 4)
    one = await put(queue, quiet, "ann")
    for event in (crowded, quiet):
        # Not so soon after its last item.
        await queue.forget(event)
    assert {crowded, quiet} <= {*await queue.events()}
    served, last = [], None
    for _ in range(2):
        last = in_turn([crowded, quiet], last)[0]
        served.append((await taken_of(queue, last)).item.id)
    assert served == [many[0], one.id]


async def of_many_workers_each_has_items_of_its_own(queue: BookingQueue, hands: Hands) -> None:
    event = next(EVENTS)
    items = await filled(queue, event, LENGTH_MAX)
    taken = await asyncio.gather(*(queue.take(event) for _ in range(2 * LENGTH_MAX)))
    had = [one.item.id for one in taken if one is not None]
    assert sorted(had) == sorted(items)


CASES: Sequence[Case] = (
    first_come_are_first_taken_and_places_move_up,
    the_line_is_told_in_its_order_a_part_at_a_time,
    an_item_says_what_was_asked_by_whom_and_until_when,
    items_that_are_looked_at_together_are_told_as_each_alone,
    the_same_request_is_one_item_whatever_became_of_it,
    ids_of_the_first_request_stay_with_its_item_and_tell_none_apart,
    a_full_queue_refuses_and_says_so_until_somebody_leaves,
    only_its_owner_cancels_an_item_and_once_is_as_good_as_twice,
    an_item_in_work_is_not_cancelled_and_its_outcome_counts,
    what_a_dead_worker_had_comes_back_to_its_place_and_its_late_word_counts_for_nothing,
    who_kills_every_worker_is_set_aside_after_so_many,
    a_failed_attempt_pauses_and_holds_up_nobody,
    whose_time_is_over_expires_and_is_passed_by,
    a_dead_item_is_tried_anew_or_removed_by_an_operator,
    cleaning_moves_a_bounded_number_and_tells_what_it_moved,
    whom_time_has_ended_the_process_that_ended_them_is_told,
    every_event_with_items_is_found_and_served_in_turn,
    of_many_workers_each_has_items_of_its_own,
)

Step = tuple[Any, ...]
_number = st.integers(0, 2)
_kinds: tuple[st.SearchStrategy[Step], ...] = (
    st.tuples(
        st.just("enqueue"),
        st.sampled_from(USERS),
        st.sampled_from(KEYS),
        st.sampled_from(REQUESTS),
    ),
    st.tuples(st.sampled_from(["take", "take and end_lease", "take and fail"])),
    st.tuples(st.just("complete"), _number),
    st.tuples(st.just("fail"), _number, st.booleans()),
    st.tuples(st.sampled_from(["end_lease", "make_due", "lapse"]), _number),
    st.tuples(st.just("cancel"), _number, st.sampled_from(USERS)),
    st.tuples(st.sampled_from(["clean", "requeue", "remove"]), _number),
)
steps = st.lists(st.one_of(*_kinds), min_size=20, max_size=60)

_MEANT: dict[str, Callable[[ModelOfItem], bool]] = {
    "end_lease": lambda item: item.status is ItemStatus.PROCESSING,
    "make_due": lambda item: item.status is ItemStatus.WAITING and item.pauses,
    "lapse": lambda item: item.status not in OVER,
    "requeue": lambda item: item.status is ItemStatus.DEAD,
    "remove": lambda item: item.status is ItemStatus.DEAD,
    "cancel": lambda item: item.status not in OVER,
}
"""Which items a step is meant for, where there are such; else any."""


async def agrees(queue: BookingQueue, hands: Hands, told: Sequence[Step]) -> None:
    """Do steps with the queue and with the model, and compare both after each."""
    model = ModelOfQueue(next(EVENTS), LENGTH_MAX)
    known: list[str] = []
    taken: list[Taken] = []
    for step in told:
        name, *arguments = step
        match name:
            case "enqueue":
                expected = model.enqueue(*arguments)
                came = await queue.enqueue(model.event, *arguments)
                if isinstance(came, Enqueued):
                    assert (came.item.id, came.is_new) == expected
                    known = [*dict.fromkeys([*known, came.item.id])]
                else:
                    assert came is expected
            case "take" | "take and end_lease" | "take and fail":
                one = await queue.take(model.event)
                taken_id = model.take("" if one is None else one.token)
                assert (one and one.item.id) == taken_id
                if one is not None:
                    taken.append(one)
                    if name == "take and end_lease":
                        await _done_to(queue, hands, model, "end_lease", one.item.id)
                    if name == "take and fail":
                        await _settled(queue, model, one, None, is_final=False)
                        await _done_to(queue, hands, model, "make_due", one.item.id)
            case "complete" | "fail" if taken:
                # Mostly the last ones; one that was lost long ago may speak up, too.
                one = taken[-1 - arguments[0] % len(taken)]
                outcome = b"held" if name == "complete" else None
                await _settled(queue, model, one, outcome, is_final=arguments[-1] is True)
            case "clean":
                await queue.clean(model.event)
                model.catch_up()
            case _ if known and name in _MEANT:
                meant = [of for of in known if of in model.items and _MEANT[name](model.items[of])]
                among = meant or known
                of = among[arguments[0] % len(among)]
                await _done_to(queue, hands, model, name, of, *arguments[1:])
        await _same(queue, model, known)


async def _settled(
    queue: BookingQueue, model: ModelOfQueue, one: Taken, outcome: bytes | None, *, is_final: bool
) -> None:
    reason = DeadReason.SERVICE_ERROR
    settled = model.settle(one.item.id, one.token, outcome, reason, is_final=is_final)
    if outcome is None:
        assert await queue.fail(one, reason, is_final=is_final) == settled
    else:
        assert await queue.complete(one, outcome) == settled


async def _done_to(
    queue: BookingQueue, hands: Hands, model: ModelOfQueue, name: str, of: str, user: str = ""
) -> None:
    item = model.items.get(of)
    match name:
        case "cancel":
            is_own = model.cancel(of, user)
            assert (await queue.cancel(of, user) is not None) == is_own
        case "requeue":
            assert await queue.requeue(of) == model.requeue(of)
        case "remove":
            assert await queue.remove(of) == model.remove(of)
        case "lapse":
            await hands.lapse(of)
            if item is not None:
                item.is_lapsed = True
        case "end_lease":
            await hands.end_lease(of)
            if item is not None and item.status is ItemStatus.PROCESSING:
                item.lease_ended = True
        case "make_due":
            await hands.make_due(of)
            if item is not None and item.pauses:
                item.is_due = True


async def _same(queue: BookingQueue, model: ModelOfQueue, known: Sequence[str]) -> None:
    for of in known:
        found, expected = await queue.look(of), model.items.get(of)
        if expected is None:
            assert found is None
            continue
        assert found is not None
        assert (found.status, found.user_id, found.attempts, found.round) == (
            expected.status,
            expected.user,
            expected.tries,
            expected.round,
        )
        assert found.position == model.position(of)
        assert (found.outcome, found.reason) == (expected.outcome, expected.reason)
        has_request = expected.status not in {
            ItemStatus.COMPLETED,
            ItemStatus.EXPIRED,
            ItemStatus.CANCELLED,
        }
        assert found.request == (expected.request if has_request else b"")
    standing = await queue.standing(model.event)
    statuses = [item.status for item in model.items.values()]
    pausing = sum(
        item.pauses for item in model.items.values() if item.status is ItemStatus.WAITING
    )
    assert (standing.waiting, standing.later) == (len(model.line()), pausing)
    assert standing.taken == statuses.count(ItemStatus.PROCESSING)
    assert standing.dead == statuses.count(ItemStatus.DEAD)
