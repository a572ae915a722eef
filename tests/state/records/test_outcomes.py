"""Every record of reservation-outcomes, as an outcome of the domain."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.avro_values import bodies

from schemas.topics import RESERVATION_OUTCOMES
from serdes.avro.codegen import decoder
from serdes.avro.general import GeneralReader
from serdes.avro.schema_files import enum_symbols, inlined
from state.domain.layout import SeatPosition, SeatRange
from state.records.outcomes import (
    CAUSE,
    DECIDED_AT,
    EPOCH,
    KIND_BY_NAME,
    OUTCOME_ID,
    REASON,
    RESERVATION_ID,
    VERSION,
    outcome_of,
)

# The schema's name of a field -> the domain's, and its position where one is asked for.
PLAIN = {
    "version": ("version", VERSION),
    "decidedAtMs": ("decided_at_ms", DECIDED_AT),
    "epoch": ("epoch", EPOCH),
    "deadlineMs": ("deadline_ms", None),
    "reacquired": ("reacquired", None),
    "capacity": ("capacity", None),
    "blockedCount": ("blocked_count", None),
    "saleStartsMs": ("sale_starts_ms", None),
    "saleEndsMs": ("sale_ends_ms", None),
    "amount": ("amount", None),
}
ENUMS = {"reason": ("Reason", REASON), "cause": ("ReleaseCause", CAUSE)}


def test_every_record_of_the_topic_is_an_outcome() -> None:
    assert KIND_BY_NAME.keys() == set(RESERVATION_OUTCOMES.records)


def seats_of(told: list[dict[str, int]]) -> tuple[SeatRange, ...]:
    return tuple(SeatRange(one["row"], one["first"], one["count"]) for one in told)


@pytest.mark.parametrize("name", sorted(KIND_BY_NAME))
@given(data=st.data())
def test_an_outcome_says_what_its_record_says(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name))
    fields = decoder(name)(body, 0)
    read: dict[str, Any] = GeneralReader(inlined(name)).read(body, 0)
    told = outcome_of(name, fields)
    request = read.pop("request")
    assert told.kind is KIND_BY_NAME[name]
    assert (told.reservation_id, told.user_id, told.correlation_id, told.section) == tuple(
        request[one].encode() for one in ("reservationId", "userId", "correlationId", "section")
    )
    assert (told.event_id, fields[RESERVATION_ID]) == (request["eventId"], told.reservation_id)
    assert told.outcome_id == fields[OUTCOME_ID] == read.pop("outcomeId").encode()
    for field, value in read.items():
        if field in PLAIN:
            own, position = PLAIN[field]
            assert getattr(told, own) == value
            assert position is None or fields[position] == value
        elif field in ENUMS:
            enum, position = ENUMS[field]
            number = enum_symbols(f"io.seatstream.types.{enum}").index(value)
            assert getattr(told, field) == fields[position] == number
        elif field in {"currency", "gateway"}:
            assert getattr(told, field) == value.encode()
        elif field == "seat":
            seat = None if value is None else SeatPosition(value["row"], value["seat"])
            assert told.seat == seat
        else:
            assert (field, told.seats) == ("seats", seats_of(value))
