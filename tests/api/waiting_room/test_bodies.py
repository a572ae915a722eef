"""What a user and an operator are told of a room, and tokens to whom they belong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.waiting.keys import passes

from api.admission.desk import Stand
from api.admission.passes import ENTRY, QUEUE
from api.waiting_room.bodies import (
    Entering,
    PlaceBody,
    RoomBody,
    RoomChange,
    place_body,
    room_body,
)
from state.domain.waiting.admission import NOWHERE, Place, Room, RoomState, Standing

ROOM = Room(RoomState.OPEN, 10, 60, "soon", 40, 3, 50, 2, 4, 1, -1, 0.5, 1_900_000_000_000)
WAITING = Place(Standing.WAITING, 5, 9)
ADMITTED = Place(Standing.ADMITTED, 5, 0, 1_900_000_060_000, 1_900_003_600_000)

places = st.builds(
    Place, st.sampled_from(Standing), st.integers(1, 99), st.integers(0, 99), st.integers(0, 9)
)


@given(places, st.booleans(), st.booleans())
def test_a_body_is_what_the_document_says_and_tokens_are_for_whose_turn_it_is(
    place: Place, is_entering: bool, has_keys: bool
) -> None:
    stand, made = Stand(ROOM, place), passes() if has_keys else None
    body = PlaceBody.model_validate(
        place_body(7, "ann", stand, made, is_entering=is_entering), strict=False
    )
    assert body.state == place.standing.name
    is_waiting, is_admitted = body.state == "WAITING", body.state == "ADMITTED"
    assert (body.position == place.rank + 1) == is_waiting
    assert (body.queue_token is not None) == (is_waiting and is_entering and has_keys)
    assert (body.entry_token is not None) == (is_admitted and has_keys)
    assert (body.ends_ms is not None) == (body.last_ms is not None) == is_admitted


def test_tokens_prove_the_turn_that_is_shown() -> None:
    made = passes()
    told = place_body(7, "ann", Stand(ROOM, WAITING), made, is_entering=True)
    assert made.turn_in(told["queue_token"], QUEUE, 7, "ann") == 5
    told = place_body(7, "ann", Stand(ROOM, ADMITTED), made)
    assert made.turn_in(told["entry_token"], ENTRY, 7, "ann") == 5
    assert (told["ends_ms"], told["last_ms"]) == (ADMITTED.ends_ms, ADMITTED.last_ms)


def test_d37_who_waits_is_told_place_estimate_and_message() -> None:
    told = place_body(7, "ann", Stand(ROOM, WAITING), passes())
    # The tenth, where one is let in every two seconds.
    assert (told["position"], told["expected_wait_ms"], told["waiting"]) == (10, 20_000, 40)
    assert (told["message"], told["room"], told["sold_out"]) == ("soon", "open", False)
    nowhere = place_body(7, "ann", Stand(ROOM._replace(limit=0), NOWHERE), passes())
    assert (nowhere["state"], nowhere["expected_wait_ms"]) == ("NONE", None)
    assert nowhere["sold_out"] is True


def test_d37_an_operator_sees_lengths_rates_and_where_everybody_went() -> None:
    told = RoomBody.model_validate(room_body(7, ROOM))
    ended = told.left + told.expired + told.done
    assert told.joined == told.waiting + told.admitted + ended == 50
    assert (told.cap, told.per_minute, told.promoted_per_minute) == (10, 60, 30.0)
    assert told.limit is None
    assert room_body(7, ROOM._replace(limit=4))["limit"] == 4


@pytest.mark.parametrize(
    "change",
    [
        {"cap": -1},
        {"cap": 1_000_001},
        {"cap": "5"},
        {"cap": True},
        {"per_minute": -1},
        {"state": "ajar"},
        {"message": "x" * 501},
        {"color": "red"},
    ],
)
def test_what_no_room_can_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RoomChange.model_validate(change)


def test_a_change_of_nothing_and_one_of_all_are_taken() -> None:
    assert RoomChange.model_validate({}).model_dump(exclude_none=True) == {}
    assert RoomChange.model_validate({}).room_state is None
    whole = {"state": "closed", "cap": 0, "per_minute": 0, "message": ""}
    change = RoomChange.model_validate(whole)
    assert change.model_dump() == whole
    assert change.room_state is RoomState.CLOSED


@pytest.mark.parametrize("token", ["", "x" * 1_025, 7])
def test_a_queue_token_is_a_text_of_bounded_length(token: object) -> None:
    with pytest.raises(ValidationError):
        Entering.model_validate({"queue_token": token})
    assert Entering.model_validate({}).queue_token is None
