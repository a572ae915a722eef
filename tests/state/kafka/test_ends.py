"""Each place of a partition is asked for as the protocol numbers it (ListOffsets, KIP-734)."""

import pytest
from confluent_kafka.admin import OffsetSpec

from state.kafka.ends import END, FIRST, NEWEST


@pytest.mark.parametrize(("place", "number"), [(END, -1), (FIRST, -2), (NEWEST, -3)])
def test_each_place_has_the_number_of_the_protocol(place: OffsetSpec, number: int) -> None:
    assert place._value == number
