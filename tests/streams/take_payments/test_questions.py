"""Questions to gateways as intents, and what becomes of them as records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.payments.paying import CODECS, PARTITION, Paying

from serdes.decoding import Decoded
from state.domain.purchases.values import Heard
from state.records.payment_codecs import GatewayAnswered
from streams.intents import Answer, Intent, Result
from streams.take_payments.questions import Asked, Word, told_answers, word_of

INTENT = Intent(
    id=f"r1.2.{PARTITION}:7",
    destination="mock",
    idempotency_key="pay",
    payload=b"",
    due_ms=0,
    opened_ms=0,
)


def told(answer: Answer) -> GatewayAnswered:
    key, value = told_answers(CODECS)(INTENT, answer)
    verdict = CODECS.records.decode(value)
    assert isinstance(verdict, Decoded), verdict
    assert key == b"r1"
    return GatewayAnswered._make(verdict.fields)


def test_an_answer_names_its_payment_and_its_question() -> None:
    word = Word(Heard.CAPTURED, "", 100, "EUR", "ch_1")
    assert told(Answer(result=Result.ANSWERED, payload=word.payload())) == GatewayAnswered(
        b"r1", 2, 7, Heard.CAPTURED, 100, b"EUR", b"ch_1", 0, b""
    )


@pytest.mark.parametrize(
    ("result", "may_have_run", "heard"),
    [
        (Result.FAILED, True, Heard.OPEN),
        (Result.TIMED_OUT, True, Heard.OPEN),
        (Result.NOT_DONE, False, Heard.NOT_DONE),
        (Result.NOT_DONE, True, Heard.OPEN),
        (Result.NOT_TRIED, False, Heard.NOT_DONE),
        (Result.NOT_TRIED, True, Heard.OPEN),
    ],
)
def test_f53_f60_what_is_not_certain_is_open(
    result: Result, may_have_run: bool, heard: Heard
) -> None:
    assert word_of(Answer(result=result, may_have_run=may_have_run)).heard == heard


@given(
    st.builds(
        Word,
        st.sampled_from(Heard),
        st.text(st.characters(), max_size=300),
        st.integers(0, 2**53),
        st.sampled_from(["", "EUR"]),
        st.from_regex(r"[!-~]{0,128}", fullmatch=True),
    ),
    st.integers(-5, 1 << 62),
)
def test_every_word_is_told_and_read(word: Word, wait_ms: int) -> None:
    if word.heard == Heard.ANOTHERS:
        # Only the handler, which knows all payments, comes to that.
        return
    answer = Answer(result=Result.ANSWERED, payload=word.payload(), wait_ms=wait_ms)
    read = told(answer)
    assert (read.word, read.amount, read.payment_id) == (
        word.heard,
        word.amount,
        word.payment_id.encode(),
    )
    assert read.wait_ms >= 0


def test_what_is_asked_survives_its_intent() -> None:
    paying = Paying()
    paying.start()
    pending, asked = paying.asked()
    assert Asked.of(asked.content()) == asked == Asked.of(pending.intent.payload)


def test_a_payload_that_is_no_word_is_no_answer() -> None:
    for payload in (b"", b"{}", b'["CAPTURED"]', b"[99]"):
        with pytest.raises((ValueError, TypeError)):
            told(Answer(result=Result.ANSWERED, payload=payload))
