"""Headers that the client cannot give; how it fails, `tests/integration` shows on a broker."""

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from state.kafka.message_headers import headers_of


class Unreadable:
    """A message with a header whose name is not UTF-8."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def headers(self) -> list[tuple[str, bytes]]:
        raise self._error


NOT_UTF8 = UnicodeDecodeError("utf-8", b"caf\xe9", 3, 4, "unexpected end of data")


@given(st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8) | st.none()), max_size=5))
def test_names_and_values_are_those_of_the_message_in_its_order(
    headers: list[Any],
) -> None:
    told: Sequence[tuple[str, bytes | None]] = headers_of(Message(headers=headers))
    assert list(told) == headers


def test_a_message_without_headers_has_none() -> None:
    assert list(headers_of(Message())) == []


@pytest.mark.parametrize("error", [NOT_UTF8, SystemError("returned NULL without an exception")])
def test_a1_a_message_whose_names_nobody_can_read_is_one_without_headers(error: Exception) -> None:
    assert list(headers_of(Unreadable(error))) == []


def test_no_other_failure_is_taken_for_a_message_without_headers() -> None:
    with pytest.raises(MemoryError):
        headers_of(Unreadable(MemoryError()))
