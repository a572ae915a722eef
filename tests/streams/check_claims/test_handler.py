"""What another shop says is a claim to its section, or a dead letter with a name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.payments.claims import SETUP, TYPE, Written, completed, signature, signed
from support.seats.section_commands import ELSEWHERE, A, B

from schemas.topics import PAYMENT_COMPLETED, SECTION_COMMANDS
from serdes.avro.field_names import field_names
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.keys import section_key
from streams.batch import Batch, UnknownSchema
from streams.check_claims.handler import PaymentCompleted, check_claims, route
from streams.driver import PipedRecord, TopologyDriver
from topology import CLAIMS

PRICE = 9_000
SECTION_READ = TopicDecoder(SECTION_COMMANDS, counted_ids())
GOOD = signed(*completed("r1", PRICE))


class Shop:
    """The route alone, over four partitions; the section of the tests lies on the first one."""

    def __init__(self) -> None:
        self.driver = TopologyDriver([route(CLAIMS, SETUP)], partitions=4)

    def write(self, record: Written, partition: int = 0) -> None:
        key, value, headers = record
        name = PAYMENT_COMPLETED.name
        self.driver.pipe(name, key, value, partition=partition, headers=headers)

    def claims(self) -> list[dict[str, Any]]:
        found = []
        for record in self.driver.read(SECTION_COMMANDS.name):
            verdict = SECTION_READ.decode(record.value)
            assert isinstance(verdict, Decoded)
            assert verdict.name == "io.seatstream.commands.ClaimPayment"
            assert (record.partition, record.key) == (0, section_key(7, A))
            found.append(dict(zip(field_names(verdict.name), verdict.fields, strict=False)))
        return found

    @property
    def reasons(self) -> list[str]:
        assert all(letter.is_strangers for letter in self.driver.dead_letters)
        return [letter.reason for letter in self.driver.dead_letters]


def test_what_a_shop_says_is_claimed_at_its_section() -> None:
    shop = Shop()
    shop.write(GOOD)
    [claim] = shop.claims()
    assert {name: claim[name] for name in ("epoch", "gateway", "paymentId", "amount")} == {
        "epoch": 1, "gateway": b"mock", "paymentId": b"ch_r1", "amount": PRICE,
    }  # fmt: skip
    assert shop.reasons == []


def test_the_ids_of_a_claim_go_on_and_nothing_else_does() -> None:
    shop = Shop()
    ids = ("correlation-id", b"order-5")
    shop.write(Written(GOOD.key, GOOD.value, (ids, *GOOD.headers)))
    [record] = shop.driver.read(SECTION_COMMANDS.name)
    assert tuple(record.headers) == (ids,)


def test_the_names_of_what_is_said_are_those_of_its_schema() -> None:
    words = [name.replace("_", "") for name in PaymentCompleted._fields]
    assert words == [name.lower() for name in field_names(TYPE)]


DEAD: dict[str, tuple[Written, str]] = {
    "unsigned": (Written(GOOD.key, GOOD.value), "NO_SIGNATURE"),
    "forged": (signed(*completed("r1", PRICE), b"a stranger's guess"), "WRONG_SIGNATURE"),
    "a deletion": (Written(GOOD.key, None, GOOD.headers), "NO_CONTENT"),
    "rubbish, signed": (signed(section_key(7, A), b"\0\0\0\0\1rubbish"), "FOREIGN_SUBJECT"),
    "no Avro, signed": (signed(section_key(7, A), b'{"amount": 1}'), "BAD_WIRE_HEADER"),
    "bytes behind it": (signed(section_key(7, A), (GOOD.value or b"") + b"\0"), "BAD_BODY"),
    "no order": (signed(*completed("r1", PRICE, order_id="order-5")), "BAD_ORDER"),
    "a cart's part": (signed(*completed(f"{'a' * 26}-0_1", PRICE)), "BAD_ORDER"),
    "a whole cart": (signed(*completed(f"{'a' * 26}-0_c", PRICE)), "BAD_ORDER"),
    "epoch 0": (signed(*completed("r1", PRICE, epoch=0)), "BAD_ORDER"),
    "an epoch that is none": (signed(*completed("r1", PRICE, epoch=2**31)), "BAD_ORDER"),
    "another partition's order": (signed(*completed("r1", PRICE, partition=3)), "OTHER_ORDER"),
    "under another key": (
        signed(section_key(7, B), completed("r1", PRICE)[1]), "KEY_MISMATCH",
    ),
    "of another partition's section": (
        signed(*completed("r1", PRICE, section=ELSEWHERE)), "WRONG_PARTITION",
    ),
    "no gateway": (signed(*completed("r1", PRICE, gateway="_mock")), "BAD_GATEWAY"),
    "no amount": (signed(*completed("r1", 0)), "BAD_BODY"),
    "a negative amount": (signed(*completed("r1", -PRICE)), "BAD_BODY"),
    "an amount that is none": (signed(*completed("r1", 2**53)), "WRONG_AMOUNT"),
    "no currency": (signed(*completed("r1", PRICE, currency="XXX")), "WRONG_CURRENCY"),
    "a currency in small letters": (
        signed(*completed("r1", PRICE, currency="eur")), "BAD_BODY",
    ),
    "no payment": (signed(*completed("r1", PRICE, payment_id="")), "BAD_BODY"),
    "a payment with a line break": (
        signed(*completed("r1", PRICE, payment_id="ch\n1")), "BAD_BODY",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DEAD)
def test_b26_what_cannot_be_believed_is_a_dead_letter_and_the_next_record_is_unaffected(
    case: str,
) -> None:
    record, reason = DEAD[case]
    shop = Shop()
    shop.write(record)
    assert (shop.reasons, shop.claims()) == ([reason], [])
    assert shop.driver.stored(PAYMENT_COMPLETED.name, 0) == {}
    shop.write(GOOD)
    assert len(shop.claims()) == 1


def test_b71_the_same_record_again_is_the_same_claim_again() -> None:
    shop = Shop()
    for _ in range(3):
        shop.write(GOOD)
    first, *others = shop.claims()
    assert others == [first] * 2


def test_an_unknown_schema_is_asked_for_only_where_its_writer_is_believed() -> None:
    value = b"\0" + (900).to_bytes(4, "big") + (GOOD.value or b"")[5:]
    handler = check_claims(SETUP)
    shop = Shop()
    key = GOOD.key or b""

    def batch(secret: bytes, unknown: frozenset[int] = frozenset()) -> Batch:
        headers = (("payment-signature", signature(key, value, secret)),)
        record = PipedRecord(PAYMENT_COMPLETED.name, 0, 0, 5, key, value, headers)
        return Batch(PAYMENT_COMPLETED.name, 0, 4, [record], unknown)

    state = shop.driver.state(PAYMENT_COMPLETED.name, 0)
    from_stranger = handler(batch(b"a stranger's guess"), state, 0)
    assert [letter.reason for letter in from_stranger.dead_letters] == ["WRONG_SIGNATURE"]
    with pytest.raises(UnknownSchema):
        handler(batch(b"a secret of two shops"), state, 0)
    known = handler(batch(b"a secret of two shops", frozenset({900})), state, 0)
    assert [letter.reason for letter in known.dead_letters] == ["UNKNOWN_SCHEMA"]


@given(st.lists(st.one_of(st.just(GOOD), st.sampled_from([one for one, _ in DEAD.values()]))))
def test_every_record_is_one_claim_or_one_dead_letter_in_order(records: list[Written]) -> None:
    shop = Shop()
    for record in records:
        shop.write(record)
    assert len(shop.claims()) == records.count(GOOD)
    assert len(shop.reasons) == len(records) - records.count(GOOD)
