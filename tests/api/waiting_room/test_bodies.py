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
from api.waiting_room.stream import id_of
from state.domain.waiting.admission import NOWHERE, Place, Room, RoomState, Standing
from state.domain.waiting.lots import first_turn, undrawn_turn

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


def test_d31_before_the_lots_are_drawn_nothing_is_told_that_depends_on_them() -> None:
    opens_ms, made = 1_900_000_060_000, passes()
    room = ROOM._replace(opens_ms=opens_ms, commitment="ab" * 32)
    early = [Place(Standing.WAITING, undrawn_turn(opens_ms) + lot, lot) for lot in (1, 200)]
    stands = [Stand(room, place) for place in early]
    told = [place_body(7, "ann", stand, made, is_entering=True) for stand in stands]
    tokens = [one.pop("queue_token") for one in told]
    assert told[0] == told[1]
    assert (told[0]["state"], told[0]["position"], told[0]["room"]) == ("PRE_QUEUE", None, "open")
    assert (told[0]["opens_ms"], told[0]["commitment"]) == (opens_ms, "ab" * 32)
    assert {made.turn_in(one, QUEUE, 7, "ann") for one in tokens} == {undrawn_turn(opens_ms)}
    assert len({id_of(stand) for stand in stands}) == 1
    PlaceBody.model_validate({**told[0], "queue_token": None}, strict=False)
    # Who waits there by a number keeps that, and is told as little.
    late = Stand(room, Place(Standing.WAITING, first_turn(opens_ms), 300))
    told_late = place_body(7, "ann", late, made, is_entering=True)
    assert made.turn_in(told_late.pop("queue_token"), QUEUE, 7, "ann") == late.place.turn
    assert told_late == told[0]
    # From then on all is as in any room.
    drawn = Stand(room._replace(is_shown=True), early[1])
    body = place_body(7, "ann", drawn, made, is_entering=True)
    assert (body["state"], body["position"]) == ("WAITING", 201)
    assert made.turn_in(body["queue_token"], QUEUE, 7, "ann") == early[1].turn


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
        {"opens_ms": 0},
        {"opens_ms": 4_102_444_800_001},
        {"color": "red"},
    ],
)
def test_what_no_room_can_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RoomChange.model_validate(change)


def test_a_change_of_nothing_and_one_of_all_are_taken() -> None:
    assert RoomChange.model_validate({}).model_dump(exclude_none=True) == {}
    assert RoomChange.model_validate({}).room_state is None
    whole = {"state": "closed", "cap": 0, "per_minute": 0, "message": "", "opens_ms": 1}
    change = RoomChange.model_validate(whole)
    assert change.model_dump() == whole
    assert change.room_state is RoomState.CLOSED


@pytest.mark.parametrize("token", ["", "x" * 1_025, 7])
def test_a_queue_token_is_a_text_of_bounded_length(token: object) -> None:
    with pytest.raises(ValidationError):
        Entering.model_validate({"queue_token": token})
    assert Entering.model_validate({}).queue_token is None
