"""A worker is woken at a time of the log, once for each timer, whatever happened in between."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workers.postings import DONE, PATIENCE, SOURCE, headers

from state.stores.partition_state import PartitionState
from streams.batch import Batch
from streams.driver import PipedRecord, TopologyDriver
from streams.patience import WAKE_AGAIN_MS
from streams.working.answers import TICK_KEY
from streams.working.kept import KEPT_BYTES_MAX, WAITING
from streams.working.route import work_route
from streams.working.task import Failed, Task
from streams.working.work import Work

MINUTE_MS = 60_000


class Clock:
    """Each event `KEY` with the value `MS` sets the timer KEY; `0` puts it out.

    woken: (timer's value, now) of each time that it was woken. fails: how often that fails.
    repeats: set again so long after it was woken, so often.
    """

    def __init__(self, repeats: int = 0) -> None:
        self.woken: list[tuple[str, int]] = []
        self.fails: Counter[str] = Counter()
        self.kills: set[str] = set()
        self.repeats = repeats
        work = Work("clock", SOURCE, self.begin, woken=self.wake, patience=PATIENCE)
        self.route = work_route(work, to=(DONE,), changelog="c", dead_letters="dead")
        self.driver = TopologyDriver([self.route])
        self.driver.advance(1)

    def begin(self, task: Task) -> None:
        after_ms = int(task.value)
        if after_ms:
            task.wake(task.key.decode(), task.now_ms + after_ms)
        else:
            task.let_sleep(task.key.decode())

    def wake(self, task: Task) -> None:
        value = task.value.decode()
        if value in self.kills:
            raise MemoryError
        if self.fails[value]:
            self.fails[value] -= 1
            raise Failed("not now")
        self.woken.append((value, task.now_ms))
        task.emit(DONE, task.key, task.value, "WOKEN")
        if self.repeats:
            self.repeats -= 1
            task.wake(task.key.decode(), task.now_ms + int(task.value))

    def set(self, key: str, after_ms: int, event_id: str) -> None:
        self.driver.pipe(
            SOURCE, key.encode(), b"%d" % after_ms, partition=0, headers=headers(event_id, "c")
        )

    def waiting(self) -> list[bytes]:
        return [key for key in self.driver.stored(SOURCE, 0) if key.startswith(WAITING)]


def test_it_is_woken_once_at_its_time_and_what_it_emits_has_the_ids_of_its_event() -> None:
    clock = Clock()
    clock.set("a", MINUTE_MS, "e1")
    clock.driver.advance(MINUTE_MS - 2_000)
    assert clock.woken == []
    clock.driver.advance(5 * MINUTE_MS)
    assert [value for value, _ in clock.woken] == ["60000"]
    [record] = clock.driver.read(DONE)
    assert dict(record.headers)["correlation-id"] == b"c"
    assert clock.waiting() == []


def test_it_is_woken_again_as_often_as_it_sets_itself() -> None:
    clock = Clock(repeats=3)
    clock.set("a", MINUTE_MS, "e1")
    clock.driver.advance(20 * MINUTE_MS, step_ms=MINUTE_MS)
    assert len(clock.woken) == 4
    ids = [dict(one.headers)["event-id"] for one in clock.driver.read(DONE)]
    assert len(set(ids)) == 4


def test_it_holds_no_event_of_its_key_up_and_the_last_time_counts() -> None:
    clock = Clock()
    clock.set("a", MINUTE_MS, "e1")
    clock.set("a", 2 * MINUTE_MS, "e2")
    clock.set("b", 3 * MINUTE_MS, "e3")
    clock.set("b", 0, "e4")
    # It was set long ago: again, it is the same event.
    clock.set("a", MINUTE_MS, "e1")
    clock.driver.advance(9 * MINUTE_MS, step_ms=MINUTE_MS)
    assert [value for value, _ in clock.woken] == ["120000"]
    assert clock.waiting() == []


def test_what_fails_is_tried_again_and_is_one_dead_letter_in_the_end() -> None:
    clock = Clock()
    clock.fails |= {"60000": 2, "60001": 3}
    clock.set("a", 60_000, "e1")
    clock.set("b", 60_001, "e2")
    clock.driver.advance(9 * MINUTE_MS, step_ms=1_000)
    assert [value for value, _ in clock.woken] == ["60000"]
    [letter] = clock.driver.dead_letters
    assert (letter.record.value, letter.reason, letter.attempts) == (
        *(b"60001", "ATTEMPTS_EXHAUSTED"),
        3,
    )


def test_after_its_dead_letter_it_is_set_anew_until_an_attempt_succeeds() -> None:
    clock = Clock()
    clock.fails["60000"] = 2 * PATIENCE.attempts
    clock.set("a", 60_000, "e1")
    clock.driver.advance(WAKE_AGAIN_MS, step_ms=MINUTE_MS)
    assert (len(clock.driver.dead_letters), clock.woken, len(clock.waiting())) == (1, [], 1)
    clock.driver.advance(2 * WAKE_AGAIN_MS, step_ms=MINUTE_MS)
    assert [value for value, _ in clock.woken] == ["60000"]
    assert len(clock.driver.dead_letters) == 2
    assert clock.waiting() == []


def test_its_dead_letter_wakes_it_where_that_is_sent_again_and_does_nothing_else() -> None:
    clock = Clock()
    clock.fails |= {"60000": PATIENCE.attempts, "60001": PATIENCE.attempts}
    clock.set("a", 60_000, "e1")
    clock.set("b", 60_001, "e2")
    clock.set("c", 90 * MINUTE_MS, "e3")
    clock.driver.advance(9 * MINUTE_MS, step_ms=1_000)
    assert len(clock.driver.dead_letters) == 2
    # Another event has taken the timer over meanwhile.
    clock.set("b", 80 * MINUTE_MS, "e4")
    for _ in range(2):
        clock.set("a", 60_000, "e1")
        clock.set("b", 60_001, "e2")
        clock.set("c", 90 * MINUTE_MS, "e3")
    clock.driver.advance(MINUTE_MS, step_ms=1_000)
    assert [value for value, _ in clock.woken] == ["60000"]
    assert len(clock.waiting()) == 2


def test_an_event_too_large_to_wait_for_its_timer_has_no_effect_and_is_a_dead_letter() -> None:
    def begin(task: Task) -> None:
        task.put(b"done", b"1")
        task.emit(DONE, task.key, b"told")
        task.wake("look", task.now_ms + MINUTE_MS)

    work = Work("clock", SOURCE, begin, woken=begin, patience=PATIENCE)
    driver = TopologyDriver([work_route(work, to=(DONE,), changelog="c", dead_letters="dead")])
    for _ in range(2):
        driver.pipe(SOURCE, b"a", b"x" * (KEPT_BYTES_MAX + 1), partition=0, headers=headers("e1"))
    # Sent again it is tried again.
    assert [one.reason for one in driver.dead_letters] == ["TOO_LARGE_TO_WAIT"] * 2
    assert "cannot wait for a timer" in driver.dead_letters[0].detail
    assert driver.read(DONE) == []
    assert b"done" not in driver.stored(SOURCE, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, max_size=12))
def test_a_timer_is_woken_for_the_last_that_was_said_of_it_over_any_restart(
    said: list[tuple[str, int]],
) -> None:
    """Nothing but the store knows it: a new process is told all that was said once more."""
    clock = Clock()
    for number, (key, minutes) in enumerate(said):
        # Later than all that is said.
        clock.set(key, minutes * MINUTE_MS and (10 + minutes) * MINUTE_MS + number, f"e{number}")
    waiting = clock.waiting()
    log = clock.driver.log(SOURCE, 0)
    clock.driver.replay(SOURCE, 0, log)
    assert clock.waiting() == waiting
    clock.driver.advance(30 * MINUTE_MS, step_ms=MINUTE_MS)
    last = {key: (minutes, number) for number, (key, minutes) in enumerate(said)}
    expected = sorted(
        str((10 + minutes) * MINUTE_MS + number) for minutes, number in last.values() if minutes
    )
    assert sorted(value for value, _ in clock.woken) == expected
    assert clock.driver.dead_letters == []


def test_one_that_kills_at_every_tick_is_a_dead_letter_and_blames_no_tick() -> None:
    clock = Clock()
    clock.kills.add("60000")
    clock.set("a", 60_000, "e1")
    clock.set("b", 60_000 + 7, "e2")
    refuse, progress = clock.route.refuse, clock.route.progress
    assert refuse is not None
    assert progress is not None
    store, base = clock.driver.state(SOURCE, 0).store, clock.driver.log_time_ms
    letters, died, after_days = [], 0, {}
    # Every 5 s, then every 6 hours.
    for number in range(60 + 30):
        at_ms = base + 61_000 + 5_000 * min(60, number) + WAKE_AGAIN_MS * max(0, number - 60)
        tick = PipedRecord(SOURCE, 0, 100 + number, at_ms, TICK_KEY, b"%d" % at_ms)
        batch, state = Batch(SOURCE, 0, 1, [tick], frozenset()), PartitionState(store)
        try:
            effects = clock.route.handler(batch, state, progress(state).log_time_ms)
        except MemoryError:
            died += 1
            state = PartitionState(store)
            effects = refuse(batch, state, tick, progress(state).log_time_ms)
            assert effects.is_innocent
        letters += effects.dead_letters
        state.write(state.seal(), None)
        state.release()
        after_days[(at_ms - base) // (24 * 60 * MINUTE_MS)] = died
    assert [one.record.value for one in letters] == [b"60000"]
    # It ends no worker again before a week is over.
    assert (after_days[0], after_days[6]) == (3, 3)
    assert after_days[7] > 3
    assert [value for value, _ in clock.woken] == ["60007"]


def test_a_timer_calls_nobody_and_has_a_name() -> None:
    def calls(task: Task) -> None:
        task.call("office", b"")

    clock = Clock()
    clock.wake = calls  # type: ignore[method-assign]
    work = Work("clock", SOURCE, clock.begin, woken=calls, patience=PATIENCE)
    driver = TopologyDriver([work_route(work, to=(DONE,), changelog="c", dead_letters="dead")])
    driver.pipe(SOURCE, b"a", b"1000", partition=0, headers=headers("e1"))
    driver.advance(9 * MINUTE_MS, step_ms=1_000)
    [letter] = driver.dead_letters
    assert "calls from a timer" in letter.detail
    for name in ("", "x" * 201):
        with pytest.raises(ValueError, match="timer"):
            Task.wake(_task(), name, 1)


def _task() -> Task:
    found: list[Task] = []
    work = Work("clock", SOURCE, found.append, patience=PATIENCE)
    driver = TopologyDriver([work_route(work, to=(), changelog="c", dead_letters="dead")])
    driver.pipe(SOURCE, b"a", b"1", partition=0, headers=headers("e1"))
    return found[0]
