"""What is said of a ticket follows from what is stored, and names no buyer."""

import asyncio

from support.issuing.purchases_asked import pem

from api.access.ticket_keys import TicketKeys
from api.purchases.bodies import PurchaseBody, claims_of, purchase_body
from state.domain.issued.purchase import IssuedOrder, IssuedPurchase

ORDER = IssuedOrder(
    b"r1.1.0", b"r1", 3, True, 9_000, b"EUR", b"BK-1-0", ((b"A-1", 2, 5, 2),), 61_999
)
BOUGHT = IssuedPurchase(b"p-0", b"ann", 7, (ORDER,))


def test_the_members_are_those_of_the_document() -> None:
    body = asyncio.run(purchase_body(BOUGHT, TicketKeys("")))
    assert PurchaseBody.model_validate(body).model_dump() == body
    ended = BOUGHT._replace(orders=(ORDER._replace(is_valid=False),))
    assert asyncio.run(purchase_body(ended, TicketKeys("")))["status"] == "ENDED"


def test_s3_16_others_are_served_while_the_tickets_of_a_box_office_are_signed() -> None:
    many = BOUGHT._replace(
        orders=tuple(
            ORDER._replace(order_id=b"r%d.1.0" % at, seats=((b"A-1", at, 0, 16),))
            for at in range(20)
        )
    )

    async def test() -> None:
        turns, keys = 0, TicketKeys(pem())

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        body = await purchase_body(many, keys)
        assert turns >= len(body["tickets"]) // 32 == 10
        # Who asks again has the same codes, which nobody signs again.
        again = await purchase_body(many, keys)
        assert again == body
        assert all(
            now["code"] is before["code"]
            for now, before in zip(again["tickets"], body["tickets"], strict=True)
        )
        task.cancel()

    asyncio.run(test())


def test_a_code_says_which_seat_and_since_when_and_not_whose() -> None:
    first, second = BOUGHT.tickets()
    assert claims_of(BOUGHT, first) == {
        "sub": "r1.1.0.A-1.2.5",
        "iat": 61.999,
        "event": 7,
        "section": "A-1",
        "row": 2,
        "seat": 5,
        "booking": "BK-1-0",
    }
    assert claims_of(BOUGHT, second)["seat"] == 6
