"""An answer is read as it was told, and rubbish under its key is no answer."""

import json

from hypothesis import given
from hypothesis import strategies as st

from serdes.decoding import Undecodable
from streams.driver import PipedRecord
from streams.gateways.webhooks import Secrets
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


NEW, OLD = b"a secret of the workers", b"the secret before it"
SEAL = Secrets(NEW, OLD)
seals = st.sampled_from([None, SEAL])


def intent_of(attempt: int) -> Intent:
    return Intent(
        id=f"post:{LINE}:7",
        destination="office",
        idempotency_key="k",
        payload=b"",
        due_ms=0,
        opened_ms=0,
        attempt=attempt,
    )


@given(answers, st.integers(1, 100), seals)
def test_an_answer_is_read_as_it_was_told(
    answer: Answer, attempt: int, seal: Secrets | None
) -> None:
    intent = intent_of(attempt)
    key, value = tell("post", seal, intent, answer)
    assert key == b"\0answer:post"
    assert said_in(record(value), seal) == Said(intent.id, "k", LINE, 7, attempt, answer)


@given(answers, st.integers(0, 10_000), st.integers(1, 255))
def test_an_answer_with_any_byte_changed_is_nobodys(
    answer: Answer, place: int, change: int
) -> None:
    _, value = tell("post", SEAL, intent_of(1), answer)
    place %= len(value)
    forged = value[:place] + bytes([value[place] ^ change]) + value[place + 1 :]
    assert isinstance(said_in(record(forged), SEAL), Undecodable)


def test_what_has_no_seal_or_that_of_another_role_or_secret_is_nobodys() -> None:
    answer, intent = Answer(result=Result.ANSWERED, payload=b"said"), intent_of(1)
    _, bare = tell("post", None, intent, answer)
    _, of_another_role = tell("cache", SEAL, intent, answer)
    _, of_another_secret = tell("post", Secrets(b"a secret of a stranger"), intent, answer)
    for value in (bare, b" " + bare, b"0" * 64 + b" " + bare, of_another_role, of_another_secret):
        assert isinstance(said_in(record(value), SEAL), Undecodable)
    _, sealed = tell("post", SEAL, intent, answer)
    assert isinstance(said_in(record(sealed), None), Undecodable)


def test_while_secrets_change_what_has_the_seal_of_the_old_one_is_believed() -> None:
    _, value = tell("post", Secrets(OLD), intent_of(1), Answer(result=Result.FAILED))
    assert isinstance(said_in(record(value), SEAL), Said)
    assert isinstance(said_in(record(value), Secrets(NEW)), Undecodable)


def test_nothing_is_read_before_its_seal_was_looked_at() -> None:
    assert said_in(record(b"[" * 60_000), SEAL) == said_in(record(b"x"), SEAL)


texts = st.text(max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
rubbish = st.one_of(
    st.binary(max_size=30),
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=8), max_leaves=10).map(
        lambda value: json.dumps(value).encode()
    ),
    st.tuples(*[scalars] * 8).map(lambda value: json.dumps(value).encode()),
)


@given(rubbish)
def test_a_strangers_bytes_are_no_answer(value: bytes) -> None:
    assert isinstance(said_in(record(value), None), Undecodable)


def test_nesting_that_no_reader_takes_is_no_answer() -> None:
    assert isinstance(said_in(record(b"[" * 60_000), None), Undecodable)
    assert isinstance(said_in(record(None), None), Undecodable)


@given(st.one_of(st.binary(max_size=20), st.integers(0, 10**15).map(lambda ms: b"%d" % ms)))
def test_a_tick_tells_a_clock_in_decimal_digits(value: bytes) -> None:
    clock_ms = clock_of(record(value))
    if isinstance(clock_ms, int):
        assert TICK.record(clock_ms)[1] == value
