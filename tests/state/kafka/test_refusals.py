"""What brokers say to who is not let in; real ones say it in `tests/integration`."""

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from state.kafka.refusals import Refusals

LOGIN = KafkaError(KafkaError._AUTHENTICATION, "wrong password (after 12ms in state AUTH_REQ)")
GONE = KafkaError(KafkaError._TRANSPORT, "Connect to ipv4#127.0.0.1:9 failed: refused")

errors = st.sampled_from(
    [
        (LOGIN, "wrong password"),
        (KafkaError(KafkaError._SSL, "certificate expired"), "certificate expired"),
        (
            KafkaError(KafkaError._TRANSPORT, "SSL handshake failed: EOF (after 3ms in state X)"),
            "SSL handshake failed: EOF",
        ),
        (GONE, ""),
        (KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"), ""),
        (KafkaError(KafkaError._TIMED_OUT, "timed out"), ""),
    ]
)


@given(st.lists(errors, max_size=8))
def test_the_last_refusal_is_told_with_a_failure_and_nothing_else_that_went_wrong(
    happened: list[tuple[KafkaError, str]],
) -> None:
    refusals = Refusals()
    for error, _ in happened:
        refusals(error)
    told = [text for _, text in happened if text]
    assert refusals.last == (told[-1] if told else "")
    expected = f"no answer: {told[-1]}" if told else "no answer"
    assert refusals.told_with(TimeoutError("no answer")) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # How long it took differs each time, and would fill the log with one and the same news.
        ("SASL failed (after 311ms in state AUTH_REQ)", "SASL failed"),
        ("SASL failed", "SASL failed"),
        ("after all (after 1ms) it failed (after 2ms)", "after all"),
        ("", ""),
    ],
)
def test_one_refusal_has_one_text_however_long_it_took(text: str, told: str) -> None:
    refusals = Refusals()
    refusals(KafkaError(KafkaError._SSL, text))
    assert refusals.last == told


def test_a_client_that_was_let_in_has_nothing_to_tell() -> None:
    assert Refusals().told_with("partition 3: timed out") == "partition 3: timed out"
