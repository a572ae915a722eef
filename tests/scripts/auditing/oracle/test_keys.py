"""Keys and ids are known by the oracle's own rules, which agree with the product's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.auditing.oracle.keys import CART_PAYMENT_ID, PART_ID, partition_of
from state.domain import keys

# From the tests of Kafka's own `Utils.murmur2`.
MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", MURMUR2)
def test_a_key_goes_where_kafkas_java_client_sends_it(key: bytes) -> None:
    for partitions in (1, 3, 12, 1000):
        assert partition_of(key, partitions) == (MURMUR2[key] & 0x7FFFFFFF) % partitions


@given(st.binary(max_size=40), st.integers(1, 100))
def test_a_key_has_one_partition_whoever_reckons(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == keys.partition_of(key, partitions)


CART = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("text", [f"{CART}-7_0", f"{CART}-7_15", f"{CART}-0_3"])
def test_parts_of_carts_are_known(text: str) -> None:
    assert PART_ID.fullmatch(text)
    assert not CART_PAYMENT_ID.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["r-1", f"{CART}-7", f"{CART}-07_1", f"{CART}-7_16", f"{CART}-7_c"]
)
def test_and_nothing_else(text: str) -> None:
    assert not PART_ID.fullmatch(text)
    assert bool(CART_PAYMENT_ID.fullmatch(text)) is text.endswith("_c")
