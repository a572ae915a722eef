"""The ids of the start of a payment, through seats, gateway and sale, to every record of it."""

import pytest
from support.payments.shop import PAYMENTS, SEATS, Shop
from support.seats.section_commands import hold_chosen, start_payment

from schemas.topics import PAYMENT_EVENTS, RESERVATION_OUTCOMES
from streams.driver import PipedRecord

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IDS = (("correlation-id", b"c1"), ("traceparent", TRACE))
COOKIE = ("cookie", b"secret")


def pipe(shop: Shop, key: bytes | None, value: bytes | None, *ids: tuple[str, bytes]) -> None:
    shop.driver.pipe(SEATS, key, value, headers=ids)
    shop.go_on()


def told(shop: Shop, before: dict[str, int]) -> dict[str, list[PipedRecord]]:
    """Return what was published since then, by topic; of a source without what was piped."""
    return {topic: shop.driver.log(topic, 0)[seen:] for topic, seen in before.items()}


@pytest.mark.parametrize("how", ["", "declines"])
def test_every_record_of_a_payment_carries_the_ids_of_its_start(how: str) -> None:
    shop = Shop()
    pipe(shop, *hold_chosen("r1", [(0, 1)]), ("correlation-id", b"c0"))
    topics = (SEATS, PAYMENTS, PAYMENT_EVENTS.name, RESERVATION_OUTCOMES.name)
    before = {topic: len(shop.driver.log(topic, 0)) for topic in topics}
    pipe(shop, *start_payment("r1", parameters=b""), *IDS, COOKIE)
    [pending] = shop.driver.intents(PAYMENTS)
    assert tuple(pending.intent.trace) == IDS
    shop.ask("r1", how)
    found = told(shop, before)
    assert found[SEATS].pop(0).headers == (*IDS, COOKIE)
    for topic in topics:
        records = [one for one in found[topic] if not (one.key or b"").startswith(b"tick")]
        assert records, topic
        assert {tuple(one.headers) for one in records} == {IDS}, topic


def test_what_the_payments_of_others_tell_has_no_ids_of_ours() -> None:
    shop = Shop()
    shop.start("r2", 3)
    pipe(shop, *hold_chosen("r1", [(0, 1)]), *IDS)
    shop.ask("r2")
    headers = [one.headers for one in shop.driver.log(PAYMENT_EVENTS.name, 0)]
    assert set(map(tuple, headers)) == {()}
