import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from state.domain.keys import (
    IDEMPOTENCY_KEY,
    PART_ID_BYTES_MIN,
    RESERVATION_ID,
    SECTION_ID,
    Order,
    buyer_key,
    is_cart_id,
    issued_id,
    may_store_of_carts,
    murmur2,
    part_id,
    partition_of,
    section_key,
    split_issued_id,
    split_order_id,
    split_part_id,
    split_section_key,
    stem_of,
)

KEYS = st.from_regex(IDEMPOTENCY_KEY, fullmatch=True)
USERS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=16)

# From the tests of Apache Kafka's Java client (UtilsTest), there as signed numbers.
GOLDEN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), GOLDEN.items())
def test_hashes_like_the_java_client(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32
    assert partition_of(key, 20) == (signed & 0x7FFFFFFF) % 20


@given(st.binary(max_size=70) | st.text(max_size=30).map(str.encode))
def test_hashes_any_key_like_another_client(key: bytes) -> None:
    assert murmur2(key) == aiokafka_murmur2(key) % 2**32


@given(st.integers(0, 2**63 - 1), st.from_regex(r"\A[A-Z0-9-]{1,32}\Z"))
def test_a_section_key_can_be_split(event_id: int, section: str) -> None:
    assert split_section_key(section_key(event_id, section)) == (event_id, section)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"7",
        b"7-",
        b"-A",
        b"07-A",
        b"7-a",
        b"7-A\n",
        b"+7-A",
        b" 7-A",
        b"9223372036854775808-A",
        "\uff17-A".encode(),
        b"7-" + b"A" * 33,
        b"tick",
    ],
)
def test_what_is_not_exactly_a_section_key_is_none(key: bytes) -> None:
    assert split_section_key(key) is None


def test_ids_are_plain_ascii_of_bounded_length() -> None:
    assert RESERVATION_ID.fullmatch(b"a-Z_09" * 10)
    assert SECTION_ID.fullmatch(b"BLOCK-12")
    for bad in (b"", b"a" * 65, b"a b", b"a\n", b"a\0", "é".encode()):
        assert not RESERVATION_ID.fullmatch(bad)
    for bad in (b"", b"A" * 33, b"a", b"A_", "\uff21".encode()):
        assert not SECTION_ID.fullmatch(bad)


IDS = st.from_regex(RESERVATION_ID.pattern.decode(), fullmatch=True)


@given(IDS, st.integers(1, 2**31 - 1), st.integers(0, 999_999))
def test_an_order_id_is_read_as_it_was_made(reservation: str, epoch: int, partition: int) -> None:
    order = Order(reservation, epoch, partition)
    assert split_order_id(order.id) == order


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a.1", "a.0.3", "a.01.3", "a.1.03", "a.1.3.4", "a b.1.3", "a.1.-3", "a.1.3\n"),
        # No record has room for such an epoch.
        *("a.2147483648.3", "a.9999999999.3"),
    ],
)
def test_b26_what_is_no_order_of_ours_is_none(text: str) -> None:
    assert split_order_id(text) is None


@given(st.text(max_size=9), st.integers(0, 999_999), st.integers(0, 15))
def test_a_part_is_read_as_it_was_made_and_is_no_reservation_of_a_pods(
    key: str, partition: int, number: int
) -> None:
    cart_id = issued_id(stem_of("ann", key), partition)
    part = part_id(cart_id.encode(), number)
    assert is_cart_id(cart_id.encode())
    assert split_part_id(part) == (cart_id.encode(), number)
    assert RESERVATION_ID.fullmatch(part)
    assert len(part) >= PART_ID_BYTES_MIN
    assert b"_" in part[-3:]
    assert split_issued_id(part.decode()) is None


CART_ID = b"a" * 26 + b"-3"


@pytest.mark.parametrize(
    "other", [CART_ID, CART_ID + b"_16", CART_ID + b"_", CART_ID + b"_01", CART_ID[1:] + b"_0"]
)
def test_what_looks_nearly_like_a_part_is_none(other: bytes) -> None:
    assert split_part_id(other) is None


def test_a_store_of_carts_has_carts_and_its_progress() -> None:
    keys = (b"k" + CART_ID, b"p", b"k" + CART_ID + b"_0", b"k", b"r" + CART_ID, b"")
    assert [may_store_of_carts(key, 0, 4) for key in keys] == [True, True, *[False] * 4]


def test_what_a_buyer_has_bought_of_an_event_has_one_key() -> None:
    assert buyer_key(7, b"ann") == b"7-ann"


@given(USERS, KEYS, st.integers(0, 999_999))
def test_an_id_given_out_is_one_that_commands_may_carry_and_tells_its_parts(
    user: str, key: str, partition: int
) -> None:
    stem = stem_of(user, key)
    reservation_id = issued_id(stem, partition)
    assert RESERVATION_ID.fullmatch(reservation_id.encode())
    assert split_issued_id(reservation_id) == (stem, partition)


@given(st.tuples(USERS, KEYS), st.tuples(USERS, KEYS))
def test_tickets_are_the_same_for_the_same_user_and_key_only(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (stem_of(*one) == stem_of(*other)) == (one == other)


def test_no_user_can_shift_characters_between_name_and_key() -> None:
    assert stem_of("ann", "bc") != stem_of("an", "nbc")


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-z2-7]{26}-[0-9]{1,8}")))
def test_whatever_is_split_is_put_together_as_it_was(text: str) -> None:
    parts = split_issued_id(text)
    assert parts is None or issued_id(*parts) == text


def test_an_id_that_only_looks_alike_is_none_of_ours() -> None:
    stem = stem_of("ann", "k")
    for text in (stem, f"{stem}-", f"{stem}-01", f"{stem}--1", f"{stem.upper()}-1"):
        assert split_issued_id(text) is None
        assert split_issued_id(text + "\n") is None
