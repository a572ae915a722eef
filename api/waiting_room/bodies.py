"""What requests and answers about waiting rooms look like."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.admission.desk import Stand
from api.admission.passes import PASS_BYTES_MAX, Passes
from api.seat_bodies import STRICT
from state.domain.waiting.admission import Room, RoomState, Standing, expected_wait_ms

CAP_MAX = 1_000_000
PER_MINUTE_MAX = 1_000_000
MESSAGE_CHARS_MAX = 500
UNIX_MS_MAX = 4_102_444_800_000
"""The year 2100: turns reach as far."""


class Entering(BaseModel):
    """The wish to wait; with a queue token at the turn that it proves."""

    model_config = STRICT

    queue_token: str | None = Field(
        default=None, min_length=1, max_length=PASS_BYTES_MAX, description="As it was given out."
    )


class RoomChange(BaseModel):
    """How a waiting room is run; what is left out stays as it is."""

    model_config = STRICT

    state: Literal["open", "paused", "closed"] | None = None
    cap: int | None = Field(
        default=None, ge=0, le=CAP_MAX, description="Most that are let in at once."
    )
    per_minute: int | None = Field(
        default=None,
        ge=0,
        le=PER_MINUTE_MAX,
        description="Most that are let in within a minute; 0 for no limit.",
    )
    message: str | None = Field(
        default=None, max_length=MESSAGE_CHARS_MAX, description="Shown to all who wait."
    )
    opens_ms: int | None = Field(
        default=None,
        ge=1,
        le=UNIX_MS_MAX,
        description="Unix ms: who enters before stands by lot. Only where nobody has entered.",
    )

    @property
    def room_state(self) -> RoomState | None:
        return None if self.state is None else RoomState(self.state)


class PlaceBody(BaseModel):
    """Where a user stands.

    `PRE_QUEUE`: waits for the opening, and the lot is not drawn; nobody has a position yet.
    `expected_wait_ms` is an estimate, and null where none can be made; `position` is exact at the
    moment of the answer, and never rises for who stays. `queue_token` brings back to this turn.
    """

    event_id: int
    state: Literal["PRE_QUEUE", "WAITING", "ADMITTED", "NONE"]
    room: RoomState
    message: str
    waiting: int = Field(description="How many wait.")
    sold_out: bool = Field(description="Nothing can be bought any more, as far as is known.")
    poll_after_ms: int = Field(description="Ask again after so long, and not much later.")
    position: int | None = Field(description="From 1; of who waits.")
    expected_wait_ms: int | None = Field(description="An estimate; of who waits.")
    queue_token: str | None = Field(
        description="Of who waits, when entering: a repeat gets it again."
    )
    entry_token: str | None = Field(
        description="Of who is let in: goes with reservations and carts."
    )
    ends_ms: int | None = Field(
        description="Unix ms: until then a sign of life has to come; of who is let in."
    )
    last_ms: int | None = Field(description="Unix ms: no admission lasts longer.")
    opens_ms: int | None = Field(
        description="Unix ms: who entered before stands by lot; null in a room without lots."
    )
    commitment: str | None = Field(
        description="SHA-256 of the seed of the lots, in hex: it was fixed before anybody entered."
    )


class RoomBody(BaseModel):
    """A waiting room as its operator sees it. `joined` is the sum of the five after it."""

    event_id: int
    state: RoomState
    cap: int
    per_minute: int
    message: str
    joined: int
    waiting: int
    admitted: int
    left: int
    expired: int
    done: int
    sold_out: bool
    limit: int | None = Field(description="Of what can be bought; null before it is known.")
    promoted_per_minute: float = Field(description="Over the last minute or so.")
    opens_ms: int | None = Field(description="Who enters before stands by lot; null: nobody does.")
    commitment: str | None = Field(description="SHA-256 of the seed of the lots, in hex.")
    drawn: bool = Field(description="The seed was told, and so is everybody's position.")


class LotsBody(BaseModel):
    """By what those are drawn who enter before the opening: all null in a room without lots."""

    event_id: int
    opens_ms: int | None = Field(description="Unix ms: who enters before stands by lot.")
    commitment: str | None = Field(description="SHA-256 of the seed, in hex; told first.")
    seed: str | None = Field(description="In hex; null until the room has opened.")


def place_body(
    event_id: int, user_id: str, stand: Stand, passes: Passes | None, *, is_entering: bool = False
) -> dict[str, Any]:
    """Return the body of where a user stands.

    is_entering: who waits is given the proof of the turn; who only asks has it already.
    """
    room, place = stand.room, stand.place
    is_waiting = place.standing is Standing.WAITING
    is_admitted = place.standing is Standing.ADMITTED
    queue = entry = None
    if passes is not None and is_waiting and is_entering:
        queue = passes.queue(event_id, user_id, stand.proved_turn)
    if passes is not None and is_admitted:
        entry = passes.entry(event_id, user_id, place.turn, place.last_ms)
    return {
        "event_id": event_id,
        "state": stand.state,
        "room": room.state.value,
        "message": room.message,
        "waiting": room.waiting,
        "sold_out": room.is_sold_out,
        "poll_after_ms": stand.poll_after_ms,
        "position": place.rank + 1 if is_waiting and not stand.is_undrawn else None,
        "expected_wait_ms": expected_wait_ms(place, room),
        "queue_token": queue,
        "entry_token": entry,
        "ends_ms": place.ends_ms if is_admitted else None,
        "last_ms": place.last_ms if is_admitted else None,
        "opens_ms": room.opens_ms or None,
        "commitment": room.commitment or None,
    }


def room_body(event_id: int, room: Room) -> dict[str, Any]:
    """Return the body of a room."""
    return {
        "event_id": event_id,
        "state": room.state.value,
        "cap": room.cap,
        "per_minute": room.per_minute,
        "message": room.message,
        "joined": room.joined,
        "waiting": room.waiting,
        "admitted": room.admitted,
        "left": room.left,
        "expired": room.expired,
        "done": room.done,
        "sold_out": room.is_sold_out,
        "limit": None if room.limit < 0 else room.limit,
        "promoted_per_minute": round(60 * room.pace, 3),
        "opens_ms": room.opens_ms or None,
        "commitment": room.commitment or None,
        "drawn": room.is_shown,
    }


def lots_body(event_id: int, room: Room, seed: str | None) -> dict[str, Any]:
    """Return the body of the lots of a room; seed: in hex."""
    return {
        "event_id": event_id,
        "opens_ms": room.opens_ms or None,
        "commitment": room.commitment or None,
        "seed": seed,
    }
