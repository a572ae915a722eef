"""The ids of a request are its caller's where they are well formed, else ours (B78)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.logs import correlation_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_a_well_formed_id_is_kept(told: str) -> None:
    assert correlation_of([(b"x-correlation-id", told.encode())]).id == told


@given(st.binary(max_size=80))
def test_any_other_id_is_replaced_by_one_of_ours(told: bytes) -> None:
    if not re.fullmatch(rb"[A-Za-z0-9._-]{1,64}", told):
        made = correlation_of([(b"x-correlation-id", told)]).id
        assert re.fullmatch(r"[0-9a-f]{16}", made)


def test_two_requests_without_an_id_get_two() -> None:
    assert correlation_of([]).id != correlation_of([]).id


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), ""),
        (TRACE + "-more", ""),
        ("ff" + TRACE[2:], ""),
        (TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), ""),
        (TRACE.replace("b7ad6b7169203331", "0" * 16), ""),
        ("", ""),
    ],
)
def test_a_trace_context_passes_if_it_is_one(told: str, kept: str) -> None:
    assert correlation_of([(b"traceparent", told.encode())]).traceparent == kept
