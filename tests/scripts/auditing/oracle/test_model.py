"""The oracle decides as the rules say, worked out by hand; that handlers agree is shown beside."""

from typing import Any

from support.logs.audit_logs import START_MS, identity, open_section, prices, row_plan

from scripts.auditing.oracle.log_time import JUMP_MS
from scripts.auditing.oracle.model import Oracle

KEY = b"7-A"
HOLD_MS = 10_000


class Told:
    """An oracle with one open section of a row of four seats; commands get offsets in order."""

    def __init__(self, **rules: Any) -> None:
        self.oracle = Oracle("section-commands", 0, 1)
        self.offset = -1
        row = row_plan("1", 4, category="a" if rules else "")
        self.send("OpenSection", open_section("A", 7, [row], holdMs=HOLD_MS, **rules))

    def send(self, name: str, fields: dict[str, Any], at_ms: int = 0) -> list[Any]:
        """Return names of the outcomes, each with what it says of a reason, cause or epoch."""
        self.offset += 1
        told = self.oracle.apply(self.offset, START_MS + at_ms, KEY, (name, fields))
        return [
            (each, fields.get("reason") or fields.get("cause") or fields.get("epoch"))
            for each, fields in told
        ]

    def of(
        self, name: str, subject: str, at_ms: int = 0, user: str = "u", **more: Any
    ) -> list[Any]:
        return self.send(name, {"request": identity(subject, user, "A", 7), **more}, at_ms)

    def hold(self, subject: str, count: int, at_ms: int = 0, user: str = "u") -> list[Any]:
        return self.of("HoldBestAvailable", subject, at_ms, user, seatCount=count)

    def tick(self, at_ms: int) -> list[Any]:
        return self.send("Tick", {"timerMs": START_MS + at_ms}, at_ms)

    def counts(self) -> tuple[int, int, int]:
        [section] = self.oracle.sections.values()
        return section.free, section.held, section.sold


def test_a_hold_is_sold_once_however_often_it_is_confirmed() -> None:
    told = Told()
    assert told.hold("r1", 2) == [("SeatsHeld", 1)]
    assert told.counts() == (2, 2, 0)
    for _ in range(2):
        assert told.of("ConfirmReservation", "r1", epoch=1) == [("ReservationConfirmed", 1)]
        assert told.counts() == (2, 0, 2)


def test_d12_a_party_is_held_in_pieces_where_no_run_is_as_long() -> None:
    told = Told()
    told.hold("r1", 1)
    told.hold("r2", 1)
    told.of("ReleaseReservation", "r1", epoch=1)
    assert told.of("HoldInPieces", "r3", seatCount=3) == [("SeatsHeld", 1)]
    assert told.counts() == (0, 4, 0)
    assert told.of("HoldInPieces", "r4", seatCount=2) == [("ReservationRejected", "SOLD_OUT")]


def test_d12_as_many_of_a_party_are_held_as_can_be() -> None:
    told = Told()
    told.hold("r1", 1)
    assert told.of("HoldInPieces", "r2", seatCount=9, orFewer=True) == [("SeatsHeld", 1)]
    assert told.counts() == (0, 4, 0)
    told.of("ReleaseReservation", "r2", epoch=1)
    assert told.counts() == (3, 1, 0)


def test_the_same_request_again_is_told_the_same_and_another_is_a_conflict() -> None:
    told = Told()
    told.hold("r1", 2)
    assert told.hold("r1", 2) == [("SeatsHeld", 1)]
    assert told.hold("r1", 3) == [("CommandRefused", "CONFLICT")]
    assert told.counts() == (2, 2, 0)


def test_a_hold_lapses_at_its_deadline_and_its_seats_are_free() -> None:
    told = Told()
    told.hold("r1", 4)
    assert told.tick(HOLD_MS - 1) == []
    assert told.tick(HOLD_MS) == [("ReservationReleased", "LAPSED")]
    assert told.counts() == (4, 0, 0)


def test_who_pays_after_the_lapse_gets_the_seats_again_if_they_are_free() -> None:
    told = Told()
    told.hold("r1", 4)
    told.tick(HOLD_MS)
    assert told.of("ConfirmReservation", "r1", HOLD_MS, epoch=1) == [("ReservationConfirmed", 2)]
    assert told.counts() == (0, 0, 4)


def test_and_is_due_a_refund_if_they_are_not() -> None:
    told = Told()
    told.hold("r1", 4)
    told.tick(HOLD_MS)
    told.hold("r2", 1, HOLD_MS)
    assert told.of("ConfirmReservation", "r1", HOLD_MS, epoch=1) == [
        ("CommandRefused", "REFUND_DUE")
    ]


def test_a_cancellation_that_comes_first_wins() -> None:
    told = Told()
    assert told.of("ReleaseReservation", "r1", epoch=0) == [("ReservationReleased", "CANCELLED")]
    assert told.hold("r1", 1) == [("ReservationRejected", "CANCELLED")]
    assert told.counts() == (4, 0, 0)


def test_only_its_own_buyer_changes_a_reservation_and_only_with_its_epoch() -> None:
    told = Told()
    told.hold("r1", 1)
    assert told.of("ConfirmReservation", "r1", user="thief", epoch=1)[0][1] == "FORBIDDEN"
    assert told.of("ConfirmReservation", "r1", epoch=2)[0][1] == "STALE_EPOCH"
    assert told.of("ConfirmReservation", "r2", epoch=1)[0][1] == "UNKNOWN_RESERVATION"
    assert told.counts() == (3, 1, 0)


def test_what_is_paid_for_waits_for_its_money_and_then_follows_it() -> None:
    told = Told(**prices("EUR", a=4_500))
    told.hold("r1", 2)
    start: dict[str, Any] = {"gateway": "mock", "method": "card", "parameters": b""}
    assert told.of("StartPayment", "r1", epoch=1, **start) == [("PaymentStarted", 1)]
    assert told.of("StartPayment", "r1", epoch=1, **start) == [("PaymentStarted", 1)]
    for name in ("ReleaseReservation", "ExtendHold"):
        assert told.of(name, "r1", epoch=1) == [("CommandRefused", "PAYMENT_IN_PROGRESS")]
    assert told.tick(2 * HOLD_MS) == []
    assert told.counts() == (2, 2, 0)
    fail: dict[str, Any] = {"epoch": 1, "cause": "EXPIRED"}
    assert told.of("FailPayment", "r1", **fail) == [("ReservationReleased", "EXPIRED")]
    assert told.counts() == (4, 0, 0)
    for _ in range(2):
        assert told.of("ConfirmReservation", "r1", epoch=1) == [("ReservationConfirmed", 2)]
        assert told.counts() == (2, 0, 2)
    for _ in range(2):
        assert told.of("RefundSeats", "r1", epoch=1) == [("ReservationRefunded", 2)]
        assert told.counts() == (4, 0, 0)
    assert told.of("FailPayment", "r1", **fail) == [("CommandRefused", "ALREADY_REFUNDED")]


def test_what_is_free_of_charge_is_sold_at_once_and_what_has_no_price_never() -> None:
    start: dict[str, Any] = {"epoch": 1, "gateway": "mock", "method": "card", "parameters": b""}
    free, unpriced = Told(**prices("EUR", a=0)), Told()
    free.hold("r1", 1)
    unpriced.hold("r1", 1)
    assert free.of("StartPayment", "r1", **start) == [("ReservationConfirmed", 1)]
    assert unpriced.of("StartPayment", "r1", **start) == [("CommandRefused", "NOT_PRICED")]


def test_time_of_one_record_a_minute_ahead_lapses_nothing() -> None:
    told = Told()
    told.hold("r1", 1)
    # From the second kind of tick on, a leap needs the sender's clock as well.
    told.oracle.apply(2, START_MS, b"tick-2", ("Tick", {"timerMs": START_MS}))
    told.oracle.apply(3, START_MS + JUMP_MS + 1, b"tick-2", ("Tick", {"timerMs": START_MS + 1}))
    assert told.counts() == (3, 1, 0)


def test_a_record_that_went_astray_touches_nothing() -> None:
    oracle = Oracle("section-commands", 0, 1)
    hold = {"request": identity("r1", "u", "A", 7), "seatCount": 1}
    [(name, fields)] = oracle.apply(0, START_MS, b"7-B", ("HoldBestAvailable", hold))
    assert (name, fields["reason"]) == ("ReservationRejected", "KEY_MISMATCH")
    assert (oracle.sections, oracle.reservations) == ({}, {})


def test_a_command_that_no_worker_survived_is_refused_and_remembered_by_nobody() -> None:
    told = Told()
    hold = {"request": identity("r1", "u", "A", 7), "seatCount": 1}
    outcomes = told.oracle.apply(9, START_MS, KEY, ("HoldBestAvailable", hold), set_aside=True)
    assert [(name, fields["reason"]) for name, fields in outcomes] == [
        ("CommandRefused", "INTERNAL")
    ]
    assert told.counts() == (4, 0, 0)
