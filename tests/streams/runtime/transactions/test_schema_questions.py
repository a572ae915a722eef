"""B2: how long a partition waits for the registry, whatever ids its records carry."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from streams.runtime.transactions import schema_questions
from streams.runtime.transactions.schema_questions import PERIOD_S, WAIT_S, SchemaQuestions


class Clock:
    """Seconds that pass when somebody is asked, or a while is waited."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def pause(self, duration_s: float) -> None:
        self.now += duration_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_b2_there_is_none_is_an_answer_at_once(clock: Clock) -> None:
    questions = SchemaQuestions(clock, clock.pause)
    asked: list[int] = []

    def ask(schema_id: int) -> None:
        asked.append(schema_id)

    run(questions.ask({7, 8, 9}, ask))
    assert sorted(asked) == [7, 8, 9]
    assert questions.unknown() == {7, 8, 9}
    assert clock.now == 1_000.0
    assert questions.left_s() == WAIT_S
    # Not for ever: it may be registered after the first record that needs it.
    clock.now += 61
    assert questions.unknown() == frozenset()


def test_b2_all_ids_are_asked_at_the_same_time(clock: Clock) -> None:
    together = threading.Barrier(3, timeout=60)
    questions = SchemaQuestions(clock, clock.pause)

    def ask(_: int) -> bool:
        together.wait()
        return True

    run(questions.ask({1, 2, 3}, ask))
    assert questions.unknown() == frozenset()


def test_f85_a_registry_that_is_down_costs_a_partition_half_a_minute_an_hour(clock: Clock) -> None:
    questions = SchemaQuestions(clock, clock.pause)
    asked: list[int] = []

    def ask(schema_id: int) -> bool:
        asked.append(schema_id)
        return False

    began = clock.now
    for schema_id in range(1, 200):
        run(questions.ask({schema_id}, ask))
        assert schema_id in questions.unknown()
    assert clock.now - began == WAIT_S
    assert set(asked) == {1}
    clock.now = began + WAIT_S + PERIOD_S
    assert questions.left_s() == WAIT_S


def test_f85_it_is_asked_again_until_it_answers(clock: Clock) -> None:
    questions = SchemaQuestions(clock, clock.pause)
    answers = iter((False, False, True))
    run(questions.ask({5}, lambda _: next(answers)))
    assert questions.unknown() == frozenset()
    assert clock.now == 1_002.0
    assert questions.left_s() == WAIT_S - 2


def test_s2_what_asking_raises_is_raised(clock: Clock) -> None:
    def ask(_: int) -> bool:
        raise LookupError("another schema")

    with pytest.raises(LookupError):
        run(SchemaQuestions(clock, clock.pause).ask({5}, ask))


def test_b2_the_list_of_unknown_ids_has_an_end(clock: Clock) -> None:
    questions = SchemaQuestions(clock, clock.pause)
    for first in range(1, 60_000, 5_000):
        questions._note(range(first, first + 5_000))
        assert len(questions.unknown()) <= 15_000


def test_b2_a_registry_that_hangs_holds_up_nothing_but_who_asks_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schema_questions, "WAIT_S", 0.5)
    answers, was_asked = threading.Event(), asyncio.Event()
    asked: list[int] = []

    async def go() -> None:
        loop = asyncio.get_running_loop()

        def ask(schema_id: int) -> bool:
            asked.append(schema_id)
            loop.call_soon_threadsafe(was_asked.set)
            answers.wait()
            return True

        questions = SchemaQuestions(loop.time)
        asking = asyncio.create_task(questions.ask(range(1_000), ask))
        await was_asked.wait()
        # Stores are opened, and clocks are compared, by the threads that everybody shares.
        async with asyncio.timeout(60):
            assert await loop.run_in_executor(None, lambda: "opened") == "opened"
        await asking
        assert len(questions.unknown()) == 1_000
        begun = len(asked)
        answers.set()
        await loop.run_in_executor(None, lambda: None)
        # The rest is not asked for any more: nobody waits for it.
        assert len(asked) == begun < 1_000

    try:
        run(go())
    finally:
        answers.set()
