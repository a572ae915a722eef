"""An answer is read as it was told, and rubbish under its key is no answer."""

import json

from hypothesis import given
from hypothesis import strategies as st

from serdes.decoding import Undecodable
from streams.driver import PipedRecord
from streams.intents import Answer, Intent, Result
from streams.working.answers import TICK, Said, clock_of, said_in, tell

LINE = "0123456789abcdef" * 2
answers = st.builds(
    Answer,
    result=st.sampled_from(Result),
    payload=st.binary(max_size=20),
    detail=st.text(max_size=20),
    wait_ms=st.integers(0, 86_400_000),
    may_have_run=st.booleans(),
)


def record(value: bytes | None) -> PipedRecord:
    return PipedRecord("orders", 0, 9, 1, b"\0answer:post", value)


@given(answers, st.integers(1, 100))
def test_an_answer_is_read_as_it_was_told(answer: Answer, attempt: int) -> None:
    intent = Intent(
        id=f"post:{LINE}:7",
        destination="office",
        idempotency_key="k",
        payload=b"",
        due_ms=0,
        opened_ms=0,
        attempt=attempt,
    )
    key, value = tell("post", intent, answer)
    assert key == b"\0answer:post"
    assert said_in(record(value)) == Said(intent.id, LINE, 7, attempt, answer)


texts = st.text(max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
rubbish = st.one_of(
    st.binary(max_size=30),
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=8), max_leaves=10).map(
        lambda value: json.dumps(value).encode()
    ),
    st.tuples(*[scalars] * 7).map(lambda value: json.dumps(value).encode()),
)


@given(rubbish)
def test_a_strangers_bytes_are_no_answer(value: bytes) -> None:
    assert isinstance(said_in(record(value)), Undecodable)


def test_nesting_that_no_reader_takes_is_no_answer() -> None:
    assert isinstance(said_in(record(b"[" * 60_000)), Undecodable)
    assert isinstance(said_in(record(None)), Undecodable)


@given(st.one_of(st.binary(max_size=20), st.integers(0, 10**15).map(lambda ms: b"%d" % ms)))
def test_a_tick_tells_a_clock_in_decimal_digits(value: bytes) -> None:
    clock_ms = clock_of(record(value))
    if isinstance(clock_ms, int):
        assert TICK.record(clock_ms)[1] == value
