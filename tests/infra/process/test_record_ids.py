"""The ids in headers of records: what is ours goes on, what is a stranger's goes nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.process.log_lines import NONE, Correlation
from infra.process.record_ids import correlation_in, followed, record_headers

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
names = st.sampled_from(["correlation-id", "traceparent", "tracestate", "x", "CORRELATION-ID"])
values = st.one_of(
    st.binary(max_size=80),
    st.from_regex(rb"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    st.just(TRACE.encode()),
    st.none(),
)


@pytest.mark.parametrize(
    ("correlation", "headers"),
    [
        (Correlation("order-7"), (("correlation-id", b"order-7"),)),
        (
            Correlation("order-7", "00-ab-cd-01"),
            (("correlation-id", b"order-7"), ("traceparent", b"00-ab-cd-01")),
        ),
    ],
)
def test_a_record_is_followed_by_its_correlation_and_its_trace(
    correlation: Correlation, headers: tuple[tuple[str, bytes], ...]
) -> None:
    assert record_headers(correlation) == headers


def test_what_we_write_is_what_we_read() -> None:
    ids = Correlation("order-7", TRACE)
    assert correlation_in(record_headers(ids)) == ids
    assert followed(record_headers(ids)) == record_headers(ids)


@given(st.lists(st.tuples(names, values), max_size=6))
def test_of_a_strangers_headers_only_well_formed_ids_go_on(headers: list) -> None:  # type: ignore[type-arg]
    kept = followed(headers)
    assert len({name for name, _ in kept}) == len(kept)
    for name, value in kept:
        assert (name, value) in headers
        assert name in {"correlation-id", "traceparent"}
        assert value == TRACE.encode() or (name == "correlation-id" and 0 < len(value) <= 64)
        assert value.isascii()
    assert correlation_in(headers).id == dict(kept).get("correlation-id", b"").decode()


@pytest.mark.parametrize(
    "value",
    [b"", b"a b", b"a\nb", b"x" * 65, b"\xff", "é".encode(), b"\x1b[31m", None],
)
def test_b78_an_id_that_could_break_a_line_is_no_id(value: bytes) -> None:
    assert correlation_in([("correlation-id", value)]) is NONE


@pytest.mark.parametrize(
    "value",
    [
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        TRACE.upper().encode(),
        TRACE.encode() + b"-more",
    ],
)
def test_a_trace_that_w3c_does_not_know_is_none(value: bytes) -> None:
    assert followed([("traceparent", value)]) == ()


def test_of_two_ids_the_first_good_one_goes_on() -> None:
    headers = [("correlation-id", b"bad id"), ("correlation-id", b"a"), ("correlation-id", b"b")]
    assert followed(headers) == (("correlation-id", b"a"),)
