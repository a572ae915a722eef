"""What buyers say and hear of carts."""

from support.carts.carting import SECTIONS

from api.carts.bodies import CartWish, Party, cart_body, first_refusal
from state.domain.carts.life import begin, heard
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import Cart, Part, Standing
from state.domain.layout import SeatRange
from state.domain.reasons import Reason
from state.domain.reservation import Status

A, B, _ = SECTIONS


def asked() -> Cart:
    wanted = (Part(A.encode(), 2, ()), Part(B.encode(), 1, ()))
    return begin(b"ann", 7, b"c", OnFailure.KEEP, wanted, 0)


def test_a_wish_says_what_carts_are_asked() -> None:
    wish = CartWish.model_validate(
        {
            "items": [
                {"section": A, "quantity": 2},
                {"section": B, "seats": [{"row": 0, "seat": 3}, {"row": 1, "seat": 0}]},
                {"section": A, "quantity": 9, "split": True},
            ],
            "on_failure": "keep",
        }
    )
    assert wish.wanted() == (
        (A.encode(), 2, (), False, ()),
        (B.encode(), 2, ((0, 3), (1, 0)), False, ()),
        (A.encode(), 9, (), True, ()),
    )
    assert [item.section for item in wish.items if isinstance(item, Party)] == [A, A]
    assert wish.policy is OnFailure.KEEP


def test_the_amount_is_that_of_what_is_held_or_sold() -> None:
    held = Standing(1, 0, Status.HELD, 1, 900, seats=(SeatRange(0, 0, 2),), amount=700)
    held = held._replace(currency=b"EUR")
    gone = Standing(1, 0, Status.RELEASED, 1, amount=350, currency=b"EUR")
    cart = heard(heard(asked(), 0, held, b"", 0), 1, gone, b"", 0)
    body = cart_body("c", cart)
    assert (body["amount"], body["currency"], body["deadline_ms"]) == (700, "EUR", 900)
    assert [part["status"] for part in body["parts"]] == ["HELD", "RELEASED"]


def test_what_nobody_knows_is_pending_and_has_no_price_yet() -> None:
    body = cart_body("c", asked())
    assert body["status"] == "ASKING"
    assert body["parts"][0]["status"] == "PENDING"
    assert body["parts"][0]["consistency_token"] is None
    assert (body["amount"], body["currency"], body["deadline_ms"]) == (0, "", None)


def test_a_refusal_is_that_of_the_first_refused_part() -> None:
    refused = Standing(1, 0, Status.REJECTED, reason=Reason.SEAT_TAKEN)
    cart = heard(asked(), 1, refused, b"", 0)
    reason, part = first_refusal(cart)
    assert (reason, part.section) == (Reason.SEAT_TAKEN, B.encode())
    cancelled = Standing(1, 0, Status.RELEASED, reason=Reason.CANCELLED)
    assert first_refusal(heard(asked(), 0, cancelled, b"", 0))[0] is Reason.CANCELLED
