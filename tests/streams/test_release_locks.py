"""Locks of holds that are over go, whatever is told twice, late, reversed or in vain (L24)."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import DEAD_LETTER_QUEUE, SEAT_UNLOCK, SEAT_UNLOCKED, UNLOCKS_CHANGELOG
from serdes.avro.codegen import IDENTITY, encoder
from serdes.decoding import Decoded, TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import counted_ids
from state.domain.keys import partition_of
from state.records.lock_codecs import LOCKS, LockCodecs
from streams.batch import Batch
from streams.driver import Pending, TopologyDriver
from streams.intents import Answer, NotDone, Result
from streams.release_locks import (
    PATIENCE_MS,
    REDIS,
    Asked,
    Setup,
    owns,
    performer,
    progress,
    refuse_poison,
    release_locks,
    told_answers,
)
from streams.route import Route

IDS = counted_ids()
CODECS = LockCodecs.of(IDS)
SETUP = Setup(CODECS)
UNLOCK = encoders(SEAT_UNLOCK, IDS)[LOCKS + "SeatUnlock"]
IDENTITY_OF = encoder(IDENTITY)
UNLOCKED = TopicDecoder(SEAT_UNLOCKED, IDS)
EVENT, PARTITIONS = 7, 4
KEY = b"7-A"
PARTITION = partition_of(KEY, PARTITIONS)
DONE = Answer(result=Result.ANSWERED, payload=b"3")
FAILED = Answer(result=Result.FAILED, detail="ConnectionError")


class Unlocker:
    """Counts what it is asked for."""

    async def unlock(
        self,
        event_id: int,
        section: str,
        seats: Sequence[tuple[int, int]],
        reservation_id: str,
        epoch: int,
    ) -> int:
        assert (event_id, section, reservation_id, epoch) == (EVENT, "A", "r1", 1)
        return len(seats)

    async def close(self) -> None:
        pass


def route() -> Route:
    return Route(
        role="locks",
        source=SEAT_UNLOCK.name,
        handler=release_locks(SETUP),
        to=(SEAT_UNLOCKED.name,),
        changelog=UNLOCKS_CHANGELOG.name,
        dead_letters=DEAD_LETTER_QUEUE.name,
        progress=progress,
        refuse=refuse_poison(SETUP),
        owns=owns,
        performers={REDIS: performer(Unlocker())},
        answer=told_answers(CODECS),
    )


def driver() -> TopologyDriver:
    return TopologyDriver([route()], partitions=PARTITIONS)


def over(
    reservation: bytes = b"r1",
    *,
    epoch: int = 1,
    event: int = EVENT,
    section: bytes = b"A",
    seats: Iterable[tuple[int, int, int]] = ((0, 3, 2), (4, 0, 1)),
) -> bytes:
    """Return a SeatUnlock."""
    identity = IDENTITY_OF(reservation, b"ann", b"c", section, event)
    return UNLOCK(identity, b"section-commands:0:5:0", epoch, 1, tuple(seats))


def told(worker: TopologyDriver) -> list[tuple[Any, ...]]:
    """Return (reservation, epoch, locks) of everything told since the last time."""
    found = []
    for record in worker.read(SEAT_UNLOCKED.name, PARTITION):
        verdict = UNLOCKED.decode(record.value, ())
        assert isinstance(verdict, Decoded)
        reservation, event, section, epoch, outcome_id, released = verdict.fields
        assert record.key == b"%d-%s" % (event, section)
        assert outcome_id == b"section-commands:0:5:0"
        found.append((reservation, epoch, released))
    return found


def pending(worker: TopologyDriver) -> list[Pending]:
    return worker.intents(SEAT_UNLOCK.name)


def test_the_end_of_a_hold_is_one_call_with_its_exact_seats_and_owner() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    [one] = pending(worker)
    assert one.intent.destination == REDIS
    assert one.intent.due_ms <= worker.log_time_ms
    assert Asked.of(one.intent.payload) == Asked(
        7, "A", "r1", 1, "section-commands:0:5:0", ((0, 3), (0, 4), (4, 0))
    )
    worker.answer(one, DONE)
    assert told(worker) == [(b"r1", 1, 3)]
    assert not pending(worker)


def test_an_answer_that_comes_twice_or_too_late_is_told_once() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    [first] = pending(worker)
    worker.answer(first, FAILED)
    [second] = pending(worker)
    assert second.intent.attempt == 2
    for answer in (DONE, FAILED):
        worker.answer(first, answer)
    assert told(worker) == []
    for answer in (DONE, DONE, FAILED):
        worker.answer(second, answer)
    assert told(worker) == [(b"r1", 1, 3)]
    assert not pending(worker)


def test_a_redis_that_is_away_is_asked_after_growing_pauses_and_given_up_in_the_end() -> None:
    worker = driver()
    began_ms = worker.log_time_ms
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    pauses = []
    while asked := pending(worker):
        [one] = asked
        worker.log_time_ms = max(worker.log_time_ms, one.intent.due_ms)
        before_ms = worker.log_time_ms
        worker.answer(one, FAILED)
        pauses += [again.intent.due_ms - before_ms for again in pending(worker)]
    assert pauses[:4] == [1_000, 2_000, 4_000, 8_000]
    assert max(pauses) == 60_000
    assert sorted(pauses) == pauses
    assert worker.log_time_ms - began_ms >= PATIENCE_MS
    assert told(worker) == []


def test_who_is_left_alone_for_now_is_not_asked_sooner() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    [one] = pending(worker)
    worker.answer(one, Answer(result=Result.NOT_TRIED, wait_ms=30_000))
    [again] = pending(worker)
    assert again.intent.due_ms == worker.log_time_ms + 30_000


ended = st.tuples(st.sampled_from([b"r1", b"r2"]), st.integers(1, 2))


@given(st.lists(ended, max_size=6), st.data())
def test_every_end_is_unlocked_once_in_whatever_order_answers_come(
    ends: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    worker = driver()
    worker.pipe_batch(SEAT_UNLOCK.name, [(KEY, over(name, epoch=epoch)) for name, epoch in ends])
    answered: list[Pending] = []
    heard: list[tuple[bytes, int, int]] = []
    while asked := pending(worker):
        one = data.draw(st.sampled_from(asked))
        answered.append(one)
        # Between two new answers one that came before may come again.
        again = st.lists(st.sampled_from(answered), max_size=1)
        for each in (one, *data.draw(again)):
            worker.log_time_ms = max(worker.log_time_ms, each.intent.due_ms)
            worker.answer(each, data.draw(st.sampled_from([DONE, DONE, FAILED])))
            heard += told(worker)
    assert sorted(heard) == sorted((name, epoch, 3) for name, epoch in ends)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"7-B", over(), "KEY_MISMATCH"),
        (None, over(), "KEY_MISMATCH"),
        (b"7-a b", over(section=b"a b"), ""),
        (KEY, over(epoch=0), "BAD_OWNER"),
        (KEY, over(epoch=-1), ""),
        (KEY, over(b"{x}"), ""),
        (KEY, over(seats=()), "BAD_COUNT"),
        (KEY, over(seats=[(0, 0, 101)]), "BAD_COUNT"),
        (KEY, over(seats=[(0, 0, 2**31 - 1)]), "BAD_COUNT"),
        (KEY, over(seats=[(0, 0, 5), (0, 0, -4)]), ""),
        (KEY, over(seats=[(-1, 0, 1)]), ""),
        (KEY, b"\0\0", ""),
    ],
)
def test_what_nobody_can_be_told_to_unlock_is_a_dead_letter(
    key: bytes | None, value: bytes, reason: str
) -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, key, value, partition=PARTITION)
    [letter] = worker.dead_letters
    assert reason in {letter.reason, ""}
    assert not pending(worker)


def test_a_section_of_another_partition_is_a_dead_letter() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over(), partition=(PARTITION + 1) % PARTITIONS)
    assert [letter.reason for letter in worker.dead_letters] == ["WRONG_PARTITION"]


def test_a_batch_that_comes_again_opens_and_tells_nothing_again() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    [one] = pending(worker)
    worker.answer(one, DONE)
    assert len(told(worker)) == 1
    worker.replay(SEAT_UNLOCK.name, PARTITION, worker.log(SEAT_UNLOCK.name, PARTITION))
    assert told(worker) == []
    assert not pending(worker)


def test_a_record_that_nothing_survived_leaves_nothing_open() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    [one] = pending(worker)
    key, value = told_answers(CODECS)(one.intent, DONE)
    poison = worker._append(SEAT_UNLOCK.name, PARTITION, key, value)
    state = worker.state(SEAT_UNLOCK.name, PARTITION)
    batch = Batch(SEAT_UNLOCK.name, PARTITION, PARTITIONS, [poison])
    refuse_poison(SETUP)(batch, state, poison, worker.log_time_ms)
    assert progress(state).next_offset == poison.offset + 1
    assert not pending(worker)


def test_the_store_has_no_key_but_its_progress() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    worker.answer(pending(worker)[0], DONE)
    stored = worker.stored(SEAT_UNLOCK.name, PARTITION)
    assert all(owns(key, PARTITION, PARTITIONS) for key in stored)
    assert not owns(b"r", PARTITION, PARTITIONS)


def test_a_performer_asks_redis_and_one_without_says_that_nothing_was_done() -> None:
    worker = driver()
    worker.pipe(SEAT_UNLOCK.name, KEY, over())
    [one] = pending(worker)
    assert asyncio.run(performed(Unlocker(), one)) == b"3"
    with pytest.raises(NotDone, match="REDIS_URL"):
        asyncio.run(performed(None, one))


async def performed(unlocker: Unlocker | None, one: Pending) -> bytes:
    return await performer(unlocker)(one.intent)
