"""Each place of a partition is asked for as the protocol numbers it (ListOffsets, KIP-734).

An offset that is none is no answer; every other one is.
"""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

from state.kafka.ends import END, FIRST, NEWEST, listed


@pytest.mark.parametrize(("place", "number"), [(END, -1), (FIRST, -2), (NEWEST, -3)])
def test_each_place_has_the_number_of_the_protocol(place: OffsetSpec, number: int) -> None:
    assert place._value == number


def answer(offset: int) -> "Future[Any]":
    told: Future[Any] = Future()
    told.set_result(SimpleNamespace(offset=offset))
    return told


@pytest.mark.parametrize("offset", [-1, 0, 7])
def test_what_is_told_is_returned(offset: int) -> None:
    assert listed(answer(offset)).offset == offset


def test_a_leader_that_was_not_heard_told_nothing() -> None:
    with pytest.raises(KafkaException) as caught:
        listed(answer(-1001))
    assert caught.value.args[0].code() == KafkaError._TIMED_OUT


def test_what_failed_is_raised() -> None:
    failed: Future[Any] = Future()
    failed.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
    with pytest.raises(KafkaException, match="NOT_LEADER"):
        listed(failed)
