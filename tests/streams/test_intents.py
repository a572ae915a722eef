"""Intents in a partition's state, against an oracle, in any order of what can happen to them."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workers.calling import calling

from infra.process.record_ids import followed
from serdes.avro.refused import Refused
from state.stores.memory import MemoryStore
from state.stores.partition_state import Changes, PartitionState, last_of
from streams.driver import Pending, TopologyDriver
from streams.intents import (
    INTENT,
    PAYLOAD_BYTES_MAX,
    TRACE,
    Answer,
    Intent,
    Result,
    changed_intents,
    intent_of,
    is_current,
    open_intent,
    open_intents,
    read_intent,
    read_trace,
    settle_intent,
    stored_intent,
    stored_trace,
)


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


ROUTE = calling({"bank": nobody, "post": nobody})


def intent(intent_id: str = "i1", **fields: object) -> Intent:
    given_fields = {
        "id": intent_id,
        "destination": "bank",
        "idempotency_key": "k-" + intent_id,
        "payload": b"p",
        "due_ms": 10,
        "opened_ms": 5,
        **fields,
    }
    return Intent(**given_fields)  # type: ignore[arg-type]


def fresh() -> PartitionState:
    return PartitionState(MemoryStore(seed=7))


def named(changes: Changes) -> list[tuple[str, Intent | None]]:
    return list(changed_intents(last_of(changes, INTENT, 7)))


def test_what_is_opened_is_seen_at_once_and_stored_with_its_batch() -> None:
    state = fresh()
    open_intent(state, intent())
    assert intent_of(state, "i1") == intent()
    changes = state.seal()
    state.write(changes, 1)
    state.release()
    assert dict(named(changes)) == {"i1": intent()}
    assert open_intents(PartitionState(state.store)) == [intent()]
    settle_intent(state, "i1")
    assert intent_of(state, "i1") is None
    assert dict(named(state.seal())) == {"i1": None}


def test_settling_what_is_not_open_changes_nothing() -> None:
    state = fresh()
    settle_intent(state, "i1")
    assert state.seal().deletes == []


def test_intents_never_come_up_as_keys_that_are_due() -> None:
    state = fresh()
    open_intent(state, intent(due_ms=1))
    state.put(b"hold", b"", due_ms=3)
    assert state.due(100) == [(3, b"hold")]


@pytest.mark.parametrize(
    "other",
    [
        intent(idempotency_key="other", attempt=2),
        intent(destination="post", attempt=2),
        intent(payload=b"other"),
        intent(due_ms=11),
    ],
)
def test_an_open_intent_keeps_its_key_and_changes_only_with_a_higher_attempt(
    other: Intent,
) -> None:
    state = fresh()
    open_intent(state, intent())
    open_intent(state, intent())  # As after a rewind.
    with pytest.raises(ValueError, match="is open already"):
        open_intent(state, other)
    open_intent(state, intent().again(20))
    assert is_current(state, "i1", 2)
    assert not is_current(state, "i1", 1)
    assert not is_current(state, "i2", 1)


def test_changes_of_a_batch_name_its_intents_and_nothing_else() -> None:
    state = fresh()
    state.sign({b"\xffwriter": b"me"}, {b"\xfftakeovers": b"me"})
    open_intent(state, intent("a"))
    state.put(b"\xfdnot-ours", b"x")
    state.put(b"z", b"x")
    state.delete(b"y")
    assert dict(named(state.seal())) == {"a": intent("a")}
    state.put(b"z", b"x")
    assert named(state.seal()) == []


# --- as they lie in a store -----------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
TIMES = st.integers(0, 2**53)
INTENTS = st.builds(
    Intent,
    id=TEXTS,
    destination=TEXTS,
    idempotency_key=TEXTS,
    payload=st.binary(max_size=100),
    due_ms=TIMES,
    opened_ms=TIMES,
    call_ms=st.integers(1, 10**9),
    attempt=st.integers(1, 10**6),
    may_have_run=st.booleans(),
)
ONE = Intent(
    id="r1", destination="bank", idempotency_key="k", payload=b"\x07", due_ms=1, opened_ms=2
)


@given(INTENTS)
def test_what_is_stored_is_read_as_it_was(intent: Intent) -> None:
    assert read_intent(*stored_intent(intent)) == intent


@given(st.binary(max_size=60))
def test_any_bytes_are_an_intent_or_refused(payload: bytes) -> None:
    try:
        intent = read_intent(b"\xfeid", payload)
    except Refused:
        return
    assert stored_intent(intent) == (b"\xfeid", payload)


def test_golden_bytes_of_an_intent_by_hand() -> None:
    # Lengths and numbers are doubled (zigzag); 10,000 * 2 = 20,000 = 156 * 128 + 32.
    golden = b"\x08bank" + b"\x02k" + b"\x02\x07" + b"\x02" + b"\xa0\x9c\x01" + b"\x02" + b"\x04"
    assert stored_intent(ONE) == (b"\xfer1", golden + b"\x00")
    assert read_intent(b"\xfer1", golden + b"\x00") == ONE
    assert read_intent(b"\xfer1", golden + b"\x01") == replace(ONE, may_have_run=True)


def test_the_next_attempt_keeps_the_key_and_the_age() -> None:
    again = ONE.again(99)
    assert (again.attempt, again.due_ms) == (2, 99)
    assert (again.id, again.idempotency_key, again.opened_ms) == ("r1", "k", 2)


@given(due_ms=st.integers(0, 10**7), attempt=st.integers(1, 100), name=st.text("ab", min_size=1))
def test_f54_only_what_has_waited_begins_later_than_it_is_due(
    due_ms: int, attempt: int, name: str
) -> None:
    asked = intent(name, due_ms=due_ms, opened_ms=1_000, attempt=attempt)
    most_ms = min(max(0, due_ms - 1_000) / 4, 60_000)
    assert due_ms <= asked.begins_ms <= due_ms + most_ms
    # Whoever reads it from the store begins it at the same time.
    assert read_intent(*stored_intent(asked)).begins_ms == asked.begins_ms


@pytest.mark.parametrize(("paused_ms", "span_ms"), [(1_000, 250), (240_000, 60_000)])
def test_f54_what_failed_together_does_not_come_back_together(
    paused_ms: int, span_ms: int
) -> None:
    """A thousand orders that were told in the same millisecond that their gateway is away."""
    failed = [intent(f"r-{n}.1.3:2", due_ms=paused_ms, opened_ms=0) for n in range(1_000)]
    begins = [one.begins_ms - paused_ms for one in failed]
    tenths = Counter(10 * late_ms // (span_ms + 1) for late_ms in begins)
    # About a hundred each; of one such thousand in millions fewer are in any.
    assert min(tenths[tenth] for tenth in range(10)) > 50


def test_f54_each_attempt_has_a_jitter_of_its_own() -> None:
    late = {replace(intent(due_ms=240_000), attempt=n).begins_ms for n in range(1, 11)}
    assert len(late) > 5


@given(st.lists(st.booleans(), max_size=6), st.booleans())
def test_what_may_have_run_once_may_have_run_for_ever(said: list[bool], forgets: bool) -> None:
    state, at = fresh(), intent()
    open_intent(state, at)
    for number, ran in enumerate(said):
        at = at.again(20 + number, may_have_run=ran)
        # A handler that makes its next attempt by hand does not unsay it.
        open_intent(state, replace(at, may_have_run=ran) if forgets else at)
        stored = intent_of(state, "i1")
        assert stored == at
        assert at.may_have_run is any(said[: number + 1])


def test_who_does_not_say_whether_it_ran_says_that_it_may_have() -> None:
    assert ONE.again(99).may_have_run


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"idempotency_key": "k" * 201},
        {"destination": ""},
        {"payload": bytes(PAYLOAD_BYTES_MAX + 1)},
        {"attempt": 0},
        {"call_ms": 0},
        {"due_ms": -1},
    ],
)
def test_what_could_not_be_performed_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(ONE, **wrong)


# --- the oracle ---------------------------------------------------------------------------

IDS = st.sampled_from(["a", "b", "c"])
HAPPENINGS = st.one_of(
    st.tuples(st.just("call"), IDS, st.sampled_from([0, 50, 5_000])),
    st.tuples(st.just("answer"), st.integers(0, 5), st.sampled_from(list(Result))),
    st.tuples(st.just("foreign"), IDS, st.integers(1, 4)),
    st.tuples(st.just("time"), st.integers(1, 2_000), st.none()),
    st.tuples(st.just("rewind"), st.none(), st.none()),
)


class Oracle:
    """What is open, as plain as can be: id -> (attempt, due)."""

    def __init__(self) -> None:
        self.open: dict[str, tuple[int, int]] = {}
        self.applied: list[str] = []

    def call(self, intent_id: str, due_ms: int) -> None:
        if intent_id not in self.open and intent_id not in self.applied:
            self.open[intent_id] = 1, due_ms

    def answered(self, intent_id: str, attempt: int, result: Result, now_ms: int) -> None:
        if self.open.get(intent_id, (0, 0))[0] != attempt:
            return
        if result is Result.ANSWERED:
            del self.open[intent_id]
            self.applied.append(intent_id)
        else:
            self.open[intent_id] = attempt + 1, now_ms + 1_000


@given(st.lists(HAPPENINGS, max_size=40))
def test_f52_f56_in_any_order_each_intent_is_applied_once_and_open_until_then(
    happenings: list[tuple[str, object, object]],
) -> None:
    driver, oracle = TopologyDriver([ROUTE]), Oracle()
    # All that was ever open: an owner that died may have performed any of it, and tells so late.
    seen: list[Pending] = []
    for kind, first, second in happenings:
        now_ms = driver.log_time_ms
        if kind == "call":
            driver.pipe("asked", b"", f"call {first} bank {second}".encode())
            oracle.call(str(first), now_ms + int(str(second)))
        elif kind == "answer" and seen:
            pending = seen[-1 - int(str(first)) % len(seen)]
            assert isinstance(second, Result)
            driver.answer(pending, Answer(result=second, payload=b"yes"))
            oracle.answered(pending.intent.id, pending.intent.attempt, second, now_ms)
        elif kind == "foreign":
            driver.pipe("asked", b"", f"answer {first} {second} ANSWERED 1 no".encode())
            oracle.answered(str(first), int(str(second)), Result.ANSWERED, now_ms)
        elif kind == "time":
            driver.advance(int(str(first)))
        elif kind == "rewind":
            log = driver.log("asked", 0)
            if log:
                driver.replay("asked", 0, log)
        pending_now = driver.intents("asked", 0)
        seen += [one for one in pending_now if one not in seen]
        told = {one.intent.id: (one.intent.attempt, one.intent.due_ms) for one in pending_now}
        assert told == oracle.open
        assert [one.intent.due_ms for one in pending_now] == sorted(
            due for _, due in told.values()
        )
        assert all(one.intent.idempotency_key == "key-" + one.intent.id for one in pending_now)
    assert [(record.key or b"").decode() for record in driver.log("applied", 0)] == oracle.applied
    kept = [key for key in driver.stored("asked", 0) if key.startswith(INTENT)]
    assert len(kept) == len(oracle.open)


OF_CAUSE = (("correlation-id", b"c1"),)


def test_the_ids_of_its_cause_lie_beside_an_intent_as_long_as_it_is_open() -> None:
    state = fresh()
    open_intent(state, intent(trace=OF_CAUSE))
    found = intent_of(state, "i1")
    assert found is not None
    assert found.trace == OF_CAUSE
    # The first cause stays: also where the next attempt knows of none, or of another.
    for number, ids in enumerate(((), (("correlation-id", b"c2"),)), 2):
        open_intent(state, replace(found, attempt=number, trace=ids))
        assert [one.trace for one in open_intents(state)] == [OF_CAUSE]
    settle_intent(state, "i1")
    changes = state.seal()
    assert sorted(changes.deletes) == [TRACE + b"i1", INTENT + b"i1"]
    assert not changes.puts


def test_an_intent_of_no_known_cause_stores_nothing_more() -> None:
    state = fresh()
    open_intent(state, intent())
    settle_intent(state, "i1")
    assert state.seal().deletes == [INTENT + b"i1"]


@given(st.lists(st.tuples(st.sampled_from(["correlation-id", "x"]), st.binary(max_size=9))))
def test_only_well_formed_ids_come_back_from_the_store(ids: list[tuple[str, bytes]]) -> None:
    good = tuple(followed(ids))
    assert read_trace(stored_trace(good)) == good
    read_trace(b"".join(value for _, value in ids))


def test_a_route_may_store_the_ids_beside_its_intents() -> None:
    assert ROUTE.may_store is not None
    assert ROUTE.may_store(TRACE + b"i1", 0, 1)
