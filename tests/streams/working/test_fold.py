"""Attempts, lines and dead letters of a worker, in memory; time is that of the driver."""

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workers.postings import DONE, PATIENCE, SOURCE, Office, headers

from streams.driver import TopologyDriver
from streams.intents import Answer, Result
from streams.working.kept import LINE_MAX
from streams.working.route import work_route
from streams.working.task import Task
from streams.working.work import Work

FAILED = Answer(result=Result.FAILED, detail="no")


# --- the inbox -----------------------------------------------------------------------------------


def test_an_event_that_comes_again_has_one_effect() -> None:
    office = Office()
    for _ in range(3):
        office.order("ann", "e1")
    office.order("bob", "e1")
    assert office.posted("ann") == ["e1"]
    assert office.posted("bob") == []
    assert len(office.driver.read(DONE)) == 1


def test_a_step_that_comes_again_under_another_id_has_one_effect() -> None:
    office = Office()
    office.order("ann", "e1", correlation="c1", kind="BOUGHT")
    office.order("ann", "e2", correlation="c1", kind="BOUGHT")
    office.order("ann", "e3", correlation="c1", kind="SOLD")
    office.order("ann", "e4", correlation="c2", kind="BOUGHT")
    assert office.posted("ann") == ["e1", "e3", "e4"]


def test_an_event_without_an_id_is_known_by_its_place() -> None:
    office = Office()
    for _ in range(2):
        office.driver.pipe(SOURCE, b"ann", b"x", partition=0)
    assert office.posted("ann") == ["x", "x"]
    office.replay()
    assert office.posted("ann") == ["x", "x"]


@pytest.mark.parametrize("calls", [False, True])
def test_nobody_hides_a_later_event_by_naming_its_place(calls: bool) -> None:
    office = Office(calls=calls)
    office.order("eve", "orders:0:2" if calls else "orders:0:1")
    office.answer_all()
    office.driver.pipe(SOURCE, b"ann", b"honest", partition=0)
    keys = {one.intent.idempotency_key for one in office.driver.intents(SOURCE)}
    assert not keys or keys == {"post:at orders:0:2"}
    office.answer_all()
    assert office.posted("ann") == ["honest"]


def test_no_event_id_is_the_idempotency_key_of_a_longer_one() -> None:
    office = Office(calls=True, role="p" * 90)
    long = "x" * 190
    office.order("ann", long)
    office.order("eve", hashlib.blake2b(long.encode(), digest_size=16).hexdigest())
    assert len({one.intent.idempotency_key for one in office.driver.intents(SOURCE)}) == 2


def test_emitting_marks_nothing_as_consumed() -> None:
    office = Office()
    office.order("ann", "e1")
    [told] = office.driver.read(DONE)
    own = dict(told.headers)["event-id"].decode()
    office.order("ann", own)
    assert office.posted("ann") == ["e1", own]


def test_a_mark_is_forgotten_when_its_time_is_over() -> None:
    office = Office(retention_ms=10_000)
    office.order("ann", "e1")
    office.driver.advance(9_000, step_ms=1_000)
    office.order("ann", "e1")
    assert office.posted("ann") == ["e1"]
    office.driver.advance(1_000)
    assert [key for key in office.driver.stored(SOURCE, 0) if key[:2] == b"\xfci"] == []


def test_what_is_emitted_carries_its_own_id_and_the_ids_of_its_cause() -> None:
    office = Office()
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    given_headers = [*headers("e1", "c1"), ("traceparent", trace), ("cookie", b"secret")]
    office.driver.pipe(SOURCE, b"ann", b"v", partition=0, headers=given_headers)
    [told] = office.driver.read(DONE)
    assert dict(told.headers) == {
        "event-id": b"post:orders:0:0:0",
        "event-type": b"POSTED",
        "correlation-id": b"c1",
        "traceparent": trace,
        "timestamp": b"%d" % office.driver.log_time_ms,
        "source": b"post",
        "version": b"1.0.0",
    }


# --- retries -------------------------------------------------------------------------------------


def test_a_failed_attempt_is_made_again_after_growing_pauses() -> None:
    office = Office()
    office.fails["e1"] = 2
    office.order("ann", "e1")
    attempts = []
    for _ in range(40):
        attempts.append(len(office.begun))
        office.driver.advance(100)
    # At once, after 1 s, and 2 s later.
    assert [attempts.index(count) for count in (1, 2, 3)] == [0, 10, 30]
    assert office.posted("ann") == ["e1"]
    assert office.letters() == []
    assert office.waiting() == []


def test_a_failed_attempt_leaves_nothing_behind() -> None:
    office = Office()
    office.fails["e1"] = 1
    office.order("ann", "e1")
    assert office.posted("ann") == []
    assert office.driver.read(DONE) == []


def test_p20_its_key_waits_in_order_and_other_keys_go_on() -> None:
    office = Office()
    office.fails["a1"] = 1
    office.order("ann", "a1")
    office.order("ann", "a2")
    office.order("bob", "b1")
    office.order("ann", "a3")
    assert (office.posted("ann"), office.posted("bob")) == ([], ["b1"])
    office.driver.advance(1_000)
    assert office.posted("ann") == ["a1", "a2", "a3"]
    assert office.waiting() == []


def test_records_without_a_key_wait_for_nobody() -> None:
    office = Office()
    office.fails["a1"] = 1
    for event_id in ("a1", "a2"):
        office.driver.pipe(SOURCE, None, event_id.encode(), partition=0, headers=headers(event_id))
    assert office.posted("") == ["a2"]


def test_after_the_last_attempt_one_dead_letter_and_the_key_goes_on() -> None:
    office = Office()
    office.fails["a1"] = 100
    began_ms = office.driver.log_time_ms
    given_headers = [*headers("a1", "c1", "T"), ("x", b"\xff"), ("x", b"2")]
    office.driver.pipe(SOURCE, b"ann", b"\0raw", partition=0, headers=given_headers)
    office.order("ann", "a2")
    office.driver.advance(60_000, step_ms=500)
    assert office.posted("ann") == ["a2"]
    [letter] = office.driver.dead_letters
    assert (letter.reason, letter.attempts) == ("ATTEMPTS_EXHAUSTED", PATIENCE.attempts)
    assert (letter.record.key, letter.record.value) == (b"ann", b"\0raw")
    assert list(letter.record.headers) == given_headers
    assert (letter.record.offset, letter.record.timestamp) == (0, began_ms)
    assert letter.failures is not None
    assert letter.failures.operation == "post"
    assert (letter.failures.event_id, letter.failures.correlation_id) == ("a1", "c1")
    assert letter.failures.first_ms == began_ms
    assert letter.failures.last_ms == began_ms + 3_000
    assert office.waiting() == []


def test_b83_a_dead_letter_that_is_sent_again_is_worked_on() -> None:
    office = Office()
    office.fails["a1"] = PATIENCE.attempts
    office.order("ann", "a1")
    office.driver.advance(10_000, step_ms=500)
    assert len(office.letters()) == 1
    office.order("ann", "a1")
    assert office.posted("ann") == ["a1"]


def test_what_is_not_critical_is_given_up_and_acknowledged() -> None:
    office = Office(is_critical=False)
    office.fails["a1"] = 100
    office.order("ann", "a1")
    office.order("ann", "a2")
    office.driver.advance(10_000, step_ms=500)
    assert office.letters() == []
    assert [one.attempts for one in office.driver.given_up] == [3]
    office.order("ann", "a1")
    assert office.posted("ann") == ["a2"]


def test_a_line_has_an_end() -> None:
    office = Office()
    office.fails["a"] = 1
    for number in range(LINE_MAX + 1):
        office.order("ann", "a" if not number else f"n{number}")
    assert office.letters() == [(f"n{LINE_MAX}", "LINE_FULL", 1)]
    office.driver.advance(1_000)
    assert len(office.posted("ann")) == LINE_MAX


def test_what_is_too_large_to_wait_is_a_dead_letter_after_one_attempt() -> None:
    office = Office()
    office.fails["a1"] = 1
    office.order("ann", "a1", "x" * (513 << 10))
    [(_, reason, attempts)] = office.letters()
    assert (reason, attempts) == ("TOO_LARGE_TO_WAIT", 1)
    assert office.waiting() == []


@pytest.mark.parametrize(
    "given_headers",
    [
        [("event-id", b"")],
        [("event-id", b"a b")],
        [("event-id", b"x" * 201)],
        [("event-id", b"a"), ("event-id", b"b")],
        [("correlation-id", b"a\nb")],
        [("event-type", "é".encode())],
        [("x", b"y")] * 101,
    ],
)
def test_b78_ids_that_are_not_well_formed_are_dead_letters(
    given_headers: list[tuple[str, bytes]],
) -> None:
    office = Office()
    office.driver.pipe(SOURCE, b"ann", b"v", partition=0, headers=given_headers)
    assert office.letters() == [("v", "BAD_RECORD_HEADERS", 1)]
    assert office.posted("ann") == []


# --- calls ---------------------------------------------------------------------------------------


def test_an_event_is_consumed_when_its_call_was_answered() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    office.order("ann", "a1")
    assert office.posted("ann") == []
    assert office.answer_all() == 1
    assert office.posted("ann") == ["a1"]
    office.order("ann", "a1")
    assert office.driver.intents(SOURCE) == []
    assert office.waiting() == []


def test_a_call_that_fails_is_made_again_with_one_key_and_then_a_dead_letter() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    office.order("ann", "a2")
    keys = set()
    for pause_ms in (1_000, 2_000, 0):
        [pending] = office.driver.intents(SOURCE, due=True)
        keys.add(pending.intent.idempotency_key)
        office.answer_all(FAILED)
        office.driver.advance(pause_ms or 1)
    assert keys == {"post:a1"}
    assert office.letters() == [("a1", "ATTEMPTS_EXHAUSTED", 3)]
    assert office.answer_all() == 1
    assert office.posted("ann") == ["a2"]


@pytest.mark.parametrize("calls", [False, True])
def test_what_no_later_attempt_could_do_is_a_dead_letter_now_and_its_line_goes_on(
    *, calls: bool
) -> None:
    office = Office(calls=calls)
    office.hopeless = {"a1"}
    office.order("ann", "a1")
    office.order("ann", "a2")
    office.answer_all()
    assert office.letters() == [("a1", "NO_ROOM", 1)]
    [letter] = office.driver.dead_letters
    # One that asks for such things often sets nothing aside.
    assert (letter.detail, letter.is_strangers) == ("for a1", True)
    office.answer_all()
    assert office.posted("ann") == ["a2"]
    assert office.driver.intents(SOURCE) == []
    # Sent again it is worked on: a dead letter marks nothing as consumed.
    office.hopeless = set()
    office.order("ann", "a1")
    office.answer_all()
    assert office.posted("ann") == ["a2", "a1"]


def test_what_no_later_attempt_could_do_is_given_up_where_the_work_is_not_critical() -> None:
    office = Office(is_critical=False)
    office.hopeless = {"a1"}
    office.order("ann", "a1")
    assert office.letters() == []
    assert office.posted("ann") == []


def test_what_nobody_tried_uses_up_no_attempt() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    left_alone = Answer(result=Result.NOT_TRIED, wait_ms=60_000, may_have_run=False)
    for _ in range(10):
        assert office.answer_all(left_alone) == 1
        assert office.answer_all(left_alone) == 0
        office.driver.advance(60_000)
    assert office.letters() == []
    office.answer_all()
    assert office.posted("ann") == ["a1"]


def test_answers_that_are_late_repeated_or_foreign_change_nothing() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    [first] = office.driver.intents(SOURCE)
    office.driver.answer(first, FAILED)
    office.driver.answer(first, FAILED)
    office.driver.answer(first, Answer(result=Result.ANSWERED, payload=b"said"))
    assert office.posted("ann") == []
    office.driver.advance(1_000)
    [second] = office.driver.intents(SOURCE, due=True)
    key, value = office.route.answer(second.intent, FAILED)  # type: ignore[misc]
    office.driver.pipe(SOURCE, b"\0answer:cache", value, partition=0)
    for rubbish in (b"", b"[]", b"{", b"[1,2,3,4,5,6,7]", b'["x",1,"ANSWERED","",0,0,0]'):
        office.driver.pipe(SOURCE, key, rubbish, partition=0)
    assert {reason for _, reason, _ in office.letters()} == {"BAD_ANSWER"}
    office.driver.answer(second, Answer(result=Result.ANSWERED, payload=b"said"))
    assert office.posted("ann") == ["a1"]


def test_an_answer_that_the_worker_cannot_take_in_is_a_failed_attempt() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    office.answer_all(Answer(result=Result.ANSWERED, payload=b"unexpected"))
    assert office.posted("ann") == []
    office.driver.advance(1_000)
    office.answer_all()
    assert office.posted("ann") == ["a1"]


def test_one_event_under_two_keys_is_called_for_twice_and_acts_once() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    office.order("bob", "a1")
    assert {one.intent.idempotency_key for one in office.driver.intents(SOURCE)} == {"post:a1"}
    office.answer_all()
    assert office.posted("ann") + office.posted("bob") == ["a1"]
    assert office.waiting() == []
    assert office.driver.intents(SOURCE) == []


# --- the store -----------------------------------------------------------------------------------


def test_a_store_that_cannot_be_read_fails_the_batch_whatever_the_workers_code_catches() -> None:
    def careless(task: Task) -> None:
        try:
            task.get(b"known")
        except OSError:
            task.put(b"known", b"new")

    office = Office()
    work = Work("post", SOURCE, careless)
    office = _with(office, work)
    store: Any = office.driver.state(SOURCE, 0).store
    read = store.get_many
    store.get_many = _breaking_at(b"known", read)
    with pytest.raises(OSError, match="unreadable"):
        office.order("ann", "a1")


def _with(office: Office, work: Work) -> Office:
    route = work_route(work, changelog="posting-changelog", dead_letters="dead")
    office.driver = TopologyDriver([route])
    return office


def _breaking_at(
    key: bytes, read: Callable[[list[bytes]], list[bytes | None]]
) -> Callable[[list[bytes]], list[bytes | None]]:
    def get_many(keys: list[bytes]) -> list[bytes | None]:
        if key in keys:
            raise OSError("unreadable")
        return read(keys)

    return get_many


# --- all together --------------------------------------------------------------------------------

steps = st.one_of(
    st.tuples(st.just("order"), st.integers(0, 5)),
    st.tuples(st.just("pass"), st.integers(1, 4_000)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("again"), st.just(0)),
)
RESULTS = (Result.ANSWERED, Result.FAILED, Result.TIMED_OUT, Result.NOT_TRIED)


@given(
    st.lists(steps, max_size=25),
    st.dictionaries(st.integers(0, 5), st.integers(1, 5), max_size=4),
    st.booleans(),
)
def test_each_event_acts_once_or_is_a_dead_letter_and_keys_keep_their_order(
    given_steps: list[tuple[str, int]], fails: dict[int, int], calls: bool
) -> None:
    """Whatever is repeated, rewound and answered in whatever way; and in the end nothing waits."""
    office = Office(calls=calls)
    office.fails.update({f"e{number}": count for number, count in fails.items()})
    ordered: dict[str, list[str]] = {}
    for kind, number in given_steps:
        match kind:
            case "order":
                # An event has one key.
                office.order(key := "ab"[number % 2], f"e{number}")
                ordered.setdefault(key, []).append(f"e{number}")
            case "pass":
                office.driver.advance(number)
            case "answer":
                office.answer_all(Answer(result=RESULTS[number], payload=b"said"))
            case _:
                office.replay()
    while office.waiting():
        office.driver.advance(30_000, step_ms=500)
        office.answer_all()
    letters = [value for value, _, _ in office.letters()]
    for key, events in ordered.items():
        posted = office.posted(key)
        assert len(set(posted)) == len(posted)
        assert set(events) == set(posted) | (set(letters) & set(events))
        # The order of the key: that of an attempt that succeeded, of one that came with the event.
        places = [[at for at, one in enumerate(events) if one == event] for event in posted]
        last = -1
        for found in places:
            last = min((at for at in found if at > last), default=len(events))
            assert last < len(events)
    told = [record.value.decode() for record in office.driver.read(DONE) if record.value]
    assert sorted(told) == sorted(one for key in ordered for one in office.posted(key))
    assert office.driver.intents(SOURCE) == []


def test_a_destination_that_sends_us_away_was_tried_and_says_when_to_come_again() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    sent_away = Answer(result=Result.NOT_DONE, wait_ms=5_000, may_have_run=False)
    office.answer_all(sent_away)
    office.driver.advance(4_999)
    assert office.driver.intents(SOURCE, due=True) == []
    office.driver.advance(1)
    assert office.answer_all(sent_away) == 1
    office.driver.advance(5_000)
    office.answer_all(sent_away)
    assert office.letters() == [("a1", "ATTEMPTS_EXHAUSTED", 3)]


numbers = st.integers(0, 6)


@given(
    st.lists(numbers, min_size=1, max_size=14),
    st.randoms(use_true_random=False),
    st.dictionaries(numbers, st.integers(1, PATIENCE.attempts - 1), max_size=4),
    st.booleans(),
)
def test_shuffled_and_duplicated_input_comes_to_one_end(
    numbers: list[int], chance: random.Random, fails: dict[int, int], calls: bool
) -> None:
    """Of events that do not build on one another, in any order, however often they come."""
    ends = []
    for _ in range(2):
        office = Office(calls=calls)
        office.fails.update({f"e{number}": count for number, count in fails.items()})
        chance.shuffle(numbers)
        for number in numbers:
            office.order("ab"[number % 2], f"e{number}", correlation=f"c{number}", kind="T")
        while office.waiting():
            office.driver.advance(1_000)
            office.answer_all()
        assert office.letters() == []
        ends.append([sorted(office.posted(key)) for key in "ab"])
    assert ends[0] == ends[1]
    assert sorted(ends[0][0] + ends[0][1]) == sorted({f"e{number}" for number in numbers})
