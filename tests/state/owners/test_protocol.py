"""Both ends of a look-up mean the same by a path and by the bytes of an answer."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.owners.protocol import (
    KEYS_MAX,
    framed,
    keys_in,
    left_alone,
    left_alone_in,
    path_to,
    unframed,
)

store_keys = st.lists(st.binary(min_size=1, max_size=129), min_size=1, max_size=KEYS_MAX)
payloads = st.lists(st.one_of(st.none(), st.binary(max_size=40)), max_size=KEYS_MAX)


@given(store_keys)
def test_the_owner_reads_the_keys_that_a_pod_put_into_the_path(keys: list[bytes]) -> None:
    path = path_to("section-commands", 7, keys)
    assert path.startswith("/partitions/section-commands/7/records/")
    assert keys_in(path.rpartition("/")[2]) == keys


@given(st.one_of(st.text(string.printable + "é漢", max_size=30), st.text("06bf,", max_size=12)))
def test_a_path_names_exactly_the_keys_that_are_read_or_none(text: str) -> None:
    found = keys_in(text)
    assert found is None or ",".join(key.hex() for key in found) == text


@given(payloads)
def test_a_pod_reads_the_payloads_that_an_owner_framed(told: list[bytes | None]) -> None:
    assert unframed(framed(told)) == told


def test_payloads_stand_behind_their_length_and_an_absent_one_has_none() -> None:
    assert framed([b"ab", None, b""]) == b"\0\0\0\2ab\xff\xff\xff\xff\0\0\0\0"


@given(st.binary(max_size=60))
def test_any_body_is_read_as_what_would_be_framed_so_or_as_none(body: bytes) -> None:
    found = unframed(body)
    assert found is None or framed(found) == body


@pytest.mark.parametrize("kept", range(1, 15))
def test_a_body_that_was_cut_off_is_none(kept: int) -> None:
    whole = framed([b"ab", None, b"c"])
    # At 6 and 10 a payload ends: what is left is a body of fewer payloads.
    assert (unframed(whole[:kept]) is None) == (kept not in {6, 10})


def test_a_pod_reads_what_an_owner_leaves_alone_and_nothing_else() -> None:
    for told in (("mock", 60_000), ("other destinations", 1), ("toss", 3_600_000)):
        assert left_alone_in(left_alone(*told)) == told
    for other in (b"", b"mock", b"-1 mock", b"1 ", b"1  \xc3\xa9", b"1 a\n", b"9999999999 mock"):
        assert left_alone_in(other) is None
