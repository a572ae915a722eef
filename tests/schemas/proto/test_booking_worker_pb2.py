"""The messages keep their numbers: a client of another release reads what this one writes."""

from schemas.proto import booking_worker_pb2 as messages
from state.domain.booking_queue.statuses import ItemStatus

ENQUEUE = messages.EnqueueBookingRequest(
    idempotency_key="k",
    event_id=7,
    section="A",
    seats=[messages.Seat(row=1, seat=2)],
    seat_count=1,
    total_amount=500,
    currency="EUR",
    metadata={"a": "b"},
)


def test_the_bytes_of_a_request_are_those_that_were_worked_out_by_hand() -> None:
    assert ENQUEUE.SerializeToString(deterministic=True) == bytes.fromhex(
        "0a016b"  # 1: "k"
        "1007"  # 2: 7
        "1a0141"  # 3: "A"
        "2204 0801 1002"  # 4: {1: 1, 2: 2}
        "2801"  # 5: 1
        "30f403"  # 6: 500
        "3a03 455552"  # 7: "EUR"
        "4206 0a0161 120162"  # 8: {"a": "b"}
    )


def test_the_numbers_of_every_message_are_those_of_the_release() -> None:
    found = {
        name: [(field.number, field.name) for field in message.fields]
        for name, message in messages.DESCRIPTOR.message_types_by_name.items()
        if name.startswith(("Enqueue", "Queue", "Cancel"))
    }
    assert {name: [number for number, _ in fields] for name, fields in found.items()} == {
        "EnqueueBookingRequest": [*range(1, 9)],
        "EnqueueBookingResponse": [*range(1, 7)],
        "QueuePosition": [*range(1, 5)],
        "QueueStatus": [*range(1, 11)],
        "CancelQueueItemRequest": [1],
        "CancelQueueItemResponse": [1, 2],
    }


def test_every_status_of_an_item_has_a_symbol_and_the_other_way_round() -> None:
    symbols = messages.ItemStatus.keys()
    assert symbols[0] == "ITEM_STATUS_UNSPECIFIED"
    assert {*symbols[1:]} == {f"ITEM_STATUS_{status.name}" for status in ItemStatus}
