"""Consistency tokens, as answers tell them and look-ups bring them back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.consistency_tokens import TOKEN_FORM, TOKENS_FORM, Token, token_of, tokens_in
from api.web.problems import Problem

LONG = st.integers(0, 2**63 - 1)


@given(LONG, st.from_regex(r"\A[A-Z0-9-]{1,32}\Z"), LONG, LONG)
def test_a_token_comes_back_as_it_was_told(
    event_id: int, section: str, version: int, decided_at_ms: int
) -> None:
    told = token_of(event_id, section, version, decided_at_ms)
    assert tokens_in([told], "query") == (Token(event_id, section, version, decided_at_ms),)
    assert re.fullmatch(TOKEN_FORM, told)
    assert re.fullmatch(TOKENS_FORM, f"{told},{told}")


def test_a_token_of_before_says_no_time() -> None:
    assert tokens_in(["7-A1:18"], "query") == (Token(7, "A1", 18, None),)


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "7-A1", "7-A1:", "7-a1:1", "7-A1:1:", "7-A1:1:2:3", "07-A1:1", "7-A1:01"),
        *("-1-A1:1", "7-A1:-1", "7-A1:1 ", f"{2**63}-A1:1", f"7-A1:{2**63}", f"7-A1:1:{2**63}"),
        "7-A1:\u0661",
    ],
)
def test_what_no_answer_told_is_refused_where_it_stands(text: str) -> None:
    with pytest.raises(Problem) as refused:
        tokens_in([text], "query.consistency_token")
    assert refused.value.extensions["errors"][0]["where"] == "query.consistency_token"


def test_more_tokens_than_a_question_may_name_are_refused() -> None:
    assert len(tokens_in(["7-A1:18"] * 100, "query")) == 100
    with pytest.raises(Problem):
        tokens_in(["7-A1:18"] * 101, "query")
