"""Who wrote a record is known from its bytes, or nobody is believed."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pages.document_pages import DOCS
from support.payments.claims import (
    IDS,
    OLD_SECRET,
    SECRET,
    SETUP,
    TYPE,
    Headers,
    completed,
    signature,
    signed,
)

from schemas.topics import PAYMENT_COMPLETED, subject
from serdes.decoding import Decoded
from serdes.wire import VALUE_BYTES_MAX
from state.domain.keys import partition_of, split_order_id
from streams.check_claims.signatures import HEADER, NO_CONTENT, signed_content, unbelieved
from streams.check_claims.signatures import TYPE as SIGNED_TYPE
from streams.gateways.webhooks import Secrets, WebhookRefusal

BOTH, NEW_ONLY = Secrets(SECRET, OLD_SECRET), Secrets(SECRET)
KEY, VALUE = completed("r1", 9_000)
GOOD = signature(KEY, VALUE)
ID = IDS.id_by_subject[subject(PAYMENT_COMPLETED, TYPE)]


@dataclass(frozen=True)
class Raw:
    """A record as a consumer hands it over."""

    key: bytes | None = KEY
    value: bytes | None = VALUE
    headers: Headers = ((HEADER, GOOD),)
    offset: int = 5
    timestamp: int = 1_700_000_000_000


def test_a_signed_record_is_believed_beside_any_other_header() -> None:
    assert unbelieved(Raw(), BOTH) is None
    assert unbelieved(Raw(headers=(("trace", b"1"), (HEADER, GOOD))), BOTH) is None
    assert SIGNED_TYPE.decode() == TYPE


def test_b72_the_old_secret_holds_while_they_change_and_no_longer() -> None:
    old = Raw(headers=signed(KEY, VALUE, OLD_SECRET).headers)
    assert unbelieved(old, BOTH) is None
    assert unbelieved(old, NEW_ONLY) is WebhookRefusal.WRONG_SIGNATURE


def test_the_signature_of_a_record_by_hand() -> None:
    # printf '\0\0\0\0\0\0\0\047%s\0\0\0\0\0\0\0\001k\0\0\0\0\0\0\0\001v' TYPE | openssl dgst -hmac
    joined = b"\0\0\0\0\0\0\0\x27" + TYPE.encode() + b"\0" * 7 + b"\1k" + b"\0" * 7 + b"\1v"
    assert b"".join(signed_content(b"k", b"v")) == joined


def test_the_record_of_the_document_is_what_a_shop_has_to_write() -> None:
    text = (DOCS / "payments.md").read_text(encoding="utf-8")
    block = text.partition("```text\nkey  ")[2].partition("```")[0]
    key, *value, _, told = block.split()
    record = Raw(key.encode(), bytes.fromhex("".join(value[1:])), ((HEADER, told.encode()),))
    assert unbelieved(record, Secrets(b"a secret for examples")) is None
    said = SETUP.codecs.records.decode(b"\0" + ID.to_bytes(4, "big") + (record.value or b"")[5:])
    assert isinstance(said, Decoded)
    assert said.fields == (
        *(b"r-1.1.16", b"ann", b"A-12", 4711, b"mock", b"pi_3Nq", 9000, b"EUR"), 1764000000123,
    )  # fmt: skip
    order = split_order_id("r-1.1.16")
    assert order is not None
    assert order.partition == partition_of(record.key or b"", PAYMENT_COMPLETED.partitions)


REFUSED: dict[str, tuple[Raw, str]] = {
    "no headers": (Raw(headers=()), WebhookRefusal.NO_SIGNATURE),
    "another header": (Raw(headers=(("signature", GOOD),)), WebhookRefusal.NO_SIGNATURE),
    "two signatures": (Raw(headers=((HEADER, GOOD),) * 2), WebhookRefusal.MANY_SIGNATURE_HEADERS),
    "two in other letters": (
        Raw(headers=((HEADER, GOOD), (HEADER.upper(), GOOD))),
        WebhookRefusal.MANY_SIGNATURE_HEADERS,
    ),
    "empty": (Raw(headers=((HEADER, b""),)), WebhookRefusal.MALFORMED_SIGNATURE),
    "null": (Raw(headers=((HEADER, None),)), WebhookRefusal.MALFORMED_SIGNATURE),  # type: ignore[arg-type]
    "not hex": (Raw(headers=((HEADER, b"g" * 64),)), WebhookRefusal.MALFORMED_SIGNATURE),
    "large hex": (Raw(headers=((HEADER, GOOD.upper()),)), WebhookRefusal.MALFORMED_SIGNATURE),
    "a line more": (Raw(headers=((HEADER, GOOD + b"\n"),)), WebhookRefusal.MALFORMED_SIGNATURE),
    "half of it": (Raw(headers=((HEADER, GOOD[:32]),)), WebhookRefusal.MALFORMED_SIGNATURE),
    "of another secret": (
        Raw(headers=signed(KEY, VALUE, b"what a stranger would guess").headers),
        WebhookRefusal.WRONG_SIGNATURE,
    ),
    "of another type": (
        Raw(headers=((HEADER, signature(KEY, VALUE, name="io.seatstream.payments.Other")),)),
        WebhookRefusal.WRONG_SIGNATURE,
    ),
    "of another key": (Raw(key=b"7-ELSEWHERE"), WebhookRefusal.WRONG_SIGNATURE),
    "of another value": (Raw(value=VALUE + b"\0"), WebhookRefusal.WRONG_SIGNATURE),
    "a byte moved from value to key": (
        Raw(key=KEY + VALUE[:1], value=VALUE[1:]), WebhookRefusal.WRONG_SIGNATURE,
    ),
    "no key": (Raw(key=None), NO_CONTENT),
    "no value": (Raw(value=None), NO_CONTENT),
    "a large value": (Raw(value=bytes(VALUE_BYTES_MAX + 1)), WebhookRefusal.TOO_LARGE),
    "a large key": (Raw(key=bytes(2_000)), WebhookRefusal.TOO_LARGE),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_b26_b69_what_is_not_signed_is_refused_by_name(case: str) -> None:
    record, why = REFUSED[case]
    assert unbelieved(record, BOTH) is why


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_no_two_records_have_the_same_signed_content(one: bytes, two: bytes, three: bytes) -> None:
    joined = b"".join(signed_content(one, two))
    for key, value in ((one + two[:1], two[1:]), (two, one), (one, three), (three, two)):
        is_same = (key, value) == (one, two)
        assert (b"".join(signed_content(key, value)) == joined) is is_same


@given(st.binary(), st.binary(max_size=300), st.lists(st.tuples(st.text(), st.binary())))
def test_b69_no_bytes_are_believed_nor_kill_who_looks_at_them(
    key: bytes, value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    assert unbelieved(Raw(key, value, headers), BOTH) is not None


@given(st.integers(0, len(VALUE) - 1), st.integers(1, 255))
def test_b69_one_changed_byte_is_a_forgery(at: int, by: int) -> None:
    changed = bytes([*VALUE[:at], VALUE[at] ^ by, *VALUE[at + 1 :]])
    assert unbelieved(Raw(value=changed), BOTH) is WebhookRefusal.WRONG_SIGNATURE
