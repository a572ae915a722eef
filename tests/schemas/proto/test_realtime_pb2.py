"""The numbers of a notice are what is on the wire: none of them ever changes."""

from schemas.proto import realtime_pb2 as messages


def test_a_notice_has_the_bytes_that_its_numbers_say() -> None:
    """Worked out by hand: the key of a field is its number times 8, plus 0 or 2 for its kind."""
    notice = messages.QueueNotice(
        notice_id="n", type="t", user_id="u", event_id=7, queue_item_id="i", position=3,
        estimated_wait_ms=5, revision=4, reservation_id="r", reason="w", correlation_id="c",
        traceparent="p",
    )  # fmt: skip
    fields = (
        b"\x0a\x01n\x12\x01t\x1a\x01u\x20\x07\x2a\x01i\x30\x03"
        b"\x38\x05\x40\x04\x4a\x01r\x52\x01w\x5a\x01c\x62\x01p"
    )
    assert notice.SerializeToString(deterministic=True) == fields
    request = messages.NotifyQueueRequest(notices=[notice])
    assert request.SerializeToString() == b"\x0a" + bytes([len(fields)]) + fields
