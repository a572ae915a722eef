from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.reservations.bodies import (
    Extension,
    PendingBody,
    ReservationBody,
    pending_body,
    reservation_body,
)
from api.seat_bodies import BestAvailable, ChosenSeats, seat_body
from api.web.consistency_tokens import Token, tokens_in
from state.domain.layout import SEATS_PER_HOLD_MAX, SeatPosition, SeatRange
from state.domain.outcome import ReservationView
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause, Status

NOW_MS = 1_764_000_000_000
HELD = ReservationView(
    reservation_id="r1",
    user_id="ann",
    event_id=7,
    section="A",
    status=Status.HELD,
    epoch=2,
    seats=(SeatRange(0, 3, 2), SeatRange(4, 0, 1)),
    deadline_ms=NOW_MS + 60_000,
    version=9,
    decided_at_ms=NOW_MS,
    outcome_id="section-commands:0:5:0",
    amount=13_500,
    currency="EUR",
)

views = st.builds(
    ReservationView,
    reservation_id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    user_id=st.text(max_size=8),
    event_id=st.integers(0, 2**63 - 1),
    section=st.from_regex(r"[A-Z0-9-]{1,32}", fullmatch=True),
    status=st.sampled_from([one for one in Status if one is not Status.UNSPECIFIED]),
    epoch=st.integers(0, 9),
    seats=st.lists(
        st.builds(SeatRange, st.integers(0, 9), st.integers(0, 9), st.integers(1, 4)), max_size=3
    ).map(tuple),
    deadline_ms=st.integers(0, NOW_MS),
    version=st.integers(0, 2**63 - 1),
    decided_at_ms=st.integers(0, NOW_MS),
    outcome_id=st.just("section-commands:0:5:0"),
    reason=st.sampled_from(Reason),
    seat=st.none() | st.builds(SeatPosition, st.integers(0, 9), st.integers(0, 9)),
    cause=st.sampled_from(ReleaseCause),
)


@given(views)
def test_every_reservation_is_told_in_the_form_that_the_document_promises(
    view: ReservationView,
) -> None:
    told = reservation_body(view)
    assert ReservationBody.model_validate(told).model_dump() == told
    assert len(told["seats"]) == sum(count for _, _, count in view.seats)
    has_deadline = view.status in {Status.HELD, Status.PAYING}
    assert (told["deadline_ms"] is None) is not has_deadline
    assert (told["cause"] is None) == (view.cause is ReleaseCause.UNSPECIFIED)
    assert (told["reason"] is None) == (view.reason is Reason.UNSPECIFIED)
    # What a look-up is given to see this change says where and when it was.
    assert tokens_in([told["consistency_token"]], "") == (
        Token(view.event_id, view.section, view.version, view.decided_at_ms),
    )


def test_a_hold_by_hand() -> None:
    assert reservation_body(HELD) == {
        "reservation_id": "r1",
        "status": "HELD",
        "event_id": 7,
        "section": "A",
        "seats": [{"row": 0, "seat": 3}, {"row": 0, "seat": 4}, {"row": 4, "seat": 0}],
        "amount": 13_500,
        "currency": "EUR",
        "epoch": 2,
        "deadline_ms": 1_764_000_060_000,
        "version": 9,
        "consistency_token": "7-A:9:1764000000000",
        "outcome_id": "section-commands:0:5:0",
        "decided_at_ms": NOW_MS,
        "cause": None,
        "reason": None,
        "seat": None,
    }


def test_a_refusal_names_its_reason_and_its_seat() -> None:
    rejected = HELD._replace(
        status=Status.REJECTED, seats=(), reason=Reason.SEAT_TAKEN, seat=SeatPosition(4, 0)
    )
    told = reservation_body(rejected)
    assert (told["reason"], told["seat"]) == ("SEAT_TAKEN", {"row": 4, "seat": 0})
    assert told["deadline_ms"] is None


def test_nobody_is_told_whose_a_reservation_is() -> None:
    assert "user_id" not in reservation_body(HELD)


def test_a_command_that_is_not_decided_is_pending_where_it_was_asked() -> None:
    told = pending_body("r1", 7, "A")
    assert told == {"reservation_id": "r1", "status": "PENDING", "event_id": 7, "section": "A"}
    assert PendingBody.model_validate(told).model_dump() == told


def test_a_seat_that_nobody_named_is_none() -> None:
    assert seat_body(None) is None
    assert seat_body((0, 0)) == {"row": 0, "seat": 0}


REQUESTS: TypeAdapter[Any] = TypeAdapter(BestAvailable | ChosenSeats)
SEAT = {"row": 0, "seat": 0}


@pytest.mark.parametrize(
    "body",
    [
        {"section": "A", "quantity": 1},
        {"section": "A-1", "quantity": SEATS_PER_HOLD_MAX},
        {"section": "A", "seats": [SEAT]},
        {"section": "A", "seats": [{"row": 2**31 - 1, "seat": 2**31 - 1}] * SEATS_PER_HOLD_MAX},
    ],
)
def test_what_may_be_asked_for(body: dict[str, Any]) -> None:
    assert REQUESTS.validate_python(body).model_dump() == body


@pytest.mark.parametrize(
    "body",
    [
        {"section": "A"},
        {"quantity": 1},
        {"section": "A", "quantity": 1, "seats": [SEAT]},
        {"section": "A", "quantity": 0},
        {"section": "A", "quantity": -1},
        {"section": "A", "quantity": SEATS_PER_HOLD_MAX + 1},
        {"section": "A", "quantity": 2**40},
        {"section": "A", "quantity": "2"},
        {"section": "A", "quantity": 2.0},
        {"section": "A", "quantity": True},
        {"section": "a", "quantity": 1},
        {"section": "A\n", "quantity": 1},
        {"section": "A", "quantity": 1, "price": 5},
        {"section": "A", "quantity": 1, "amount": 0},
        {"section": "A", "quantity": 1, "currency": "EUR"},
        {"section": "A", "seats": [SEAT], "amount": 0},
        {"section": "A", "seats": [SEAT | {"amount": 0}]},
        {"section": "A", "quantity": 1, "hold_ms": 0},
        {"section": "A", "quantity": 1, "user_id": "bob"},
        {"section": "A", "seats": []},
        {"section": "A", "seats": [SEAT] * (SEATS_PER_HOLD_MAX + 1)},
        {"section": "A", "seats": [{"row": -1, "seat": 0}]},
        {"section": "A", "seats": [{"row": 0, "seat": 2**31}]},
        {"section": "A", "seats": [{"row": "0", "seat": 0}]},
        {"section": "A", "seats": [{"row": 0, "seat": 0, "section": "B"}]},
        {"section": ["A", "B"], "quantity": 1},
        {"sections": ["A", "B"], "quantity": 2, "split": True},
        {"items": [{"section": "A", "quantity": 1}, {"section": "B", "quantity": 1}]},
    ],
)
def test_b34_b51_b54_b55_b56_b57_b62_b63_what_no_request_can_mean_is_refused(body: Any) -> None:
    with pytest.raises(ValidationError):
        REQUESTS.validate_python(body)


@pytest.mark.parametrize("epoch", [0, -1, 2**31, "1", 1.0, True, None])
def test_an_extension_names_the_epoch_that_was_seen(epoch: Any) -> None:
    assert Extension.model_validate({"epoch": 1}).epoch == 1
    with pytest.raises(ValidationError):
        Extension.model_validate({"epoch": epoch})


@pytest.mark.parametrize("field", ["amount", "currency", "price", "prices"])
def test_b57_no_extension_names_a_price(field: str) -> None:
    with pytest.raises(ValidationError):
        Extension.model_validate({"epoch": 1, field: 1})
