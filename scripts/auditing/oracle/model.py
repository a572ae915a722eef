"""The oracle: commands of one partition in, the outcomes and the state they must have led to out.

Written from the rules, seat by seat, with lists and dicts, and for reading: it shares no code with
the handlers that it judges. All times are Unix ms of the log.
"""

import heapq
from collections import OrderedDict
from typing import Any

from scripts.auditing.oracle.keys import CART_PAYMENT_ID, PART_ID, partition_of
from scripts.auditing.oracle.log_time import SILENCE_MS_MAX, LogTime
from scripts.auditing.oracle.seats import (
    BLOCKED,
    Choice,
    Command,
    Place,
    Row,
    Section,
    as_many_in_pieces,
    best_available,
    each_place,
    in_pieces,
    is_sound,
    is_window,
    places_of,
    price_of,
    ranges,
)
from scripts.auditing.oracle.telling import claimed, sale_decided, standing_of, told_of
from scripts.auditing.oracle.words import (
    FAILURES,
    FREE_OF_CHARGE,
    HOLDS,
    IN_USE,
    NOWHERE,
    OF_MONEY,
    OF_PARTS,
    UNPAID,
    Outcome,
    Reservation,
    is_free,
    is_of,
    price_told,
    started_before,
)

LAPSES_PER_RECORD = 1_000
EXTENSIONS_KEPT = 16
# The section's record has 64 KiB at most; its other fields take less than 128 bytes.
FREE_BYTES_MAX = 64 * 1024 - 128
# Of more seats than any section lets anybody hold, none is remembered.
LISTED_MAX = 16


class Oracle:
    """One partition of the command topic.

    payments: what payments must have been told by the last record, if anything.
    carts:    what carts must have been told by it, in order.
    """

    def __init__(self, topic: str, partition: int, partitions: int) -> None:
        self.topic = topic
        self.partition = partition
        self.partitions = partitions
        self.time = LogTime()
        self.next_offset = 0
        self.sections: dict[tuple[int, str], Section] = {}
        self.reservations: dict[str, Reservation] = {}
        self.payments: Outcome | None = None
        self.carts: list[Outcome] = []
        self._due: list[tuple[int, str]] = []
        self._offset = 0
        self._appended = 0
        self._touched: set[tuple[int, str]] = set()

    def apply(
        self,
        offset: int,
        timestamp: int,
        key: bytes | None,
        command: tuple[str, Command] | None,
        *,
        set_aside: bool = False,
    ) -> list[Outcome]:
        """Apply one record; return its outcomes in order, those of lapses first.

        command:   name of the record and its fields; None where its bytes cannot be read.
        set_aside: no worker survived it: refused, and nothing but the time goes on.
        """
        self._offset, self.next_offset = offset, offset + 1
        self._appended = timestamp
        self._touched = set()
        self.payments = None
        self.carts = []
        name, fields = command or ("", {})
        is_tick = name == "Tick" and not set_aside
        self.time.follow(timestamp, key, fields["timerMs"] if is_tick else None)
        if set_aside:
            if name in {"", "Tick"}:
                return []
            if name in OF_MONEY:
                self._tell_payments(
                    sale_decided(self._id(), name, fields, "REFUSED", "INTERNAL", 0)
                )
            self._tell_unknown(name, fields, "INTERNAL")
            if name == "ClaimPayment":
                self._tell_payments(claimed(self._id(), fields, FREE_OF_CHARGE, 0))
            return [self._refusal("", fields["request"], "INTERNAL", foreign=True)]
        outcomes = self._lapse(self.time.lapses_to_ms)
        if name and name != "Tick":
            outcomes.append(self._decide(key, name, fields))
        for section in self.touched_sections():
            self._note(section)
        return outcomes

    def touched_sections(self) -> list[Section]:
        """Return the known sections that the last record concerned."""
        return [self.sections[where] for where in self._touched if where in self.sections]

    def _note(self, section: Section) -> None:
        section.applied = (self._offset, self.time.ms)
        largest = max(section.longest)
        counts = (self.time.ms, section.version, section.free, section.held, largest)
        section.history.append(counts)
        section.history_by_offset[self._offset] = counts

    def _lapse(self, horizon_ms: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while self._due and self._due[0][0] <= horizon_ms and len(outcomes) < LAPSES_PER_RECORD:
            deadline_ms, reservation_id = heapq.heappop(self._due)
            held = self.reservations[reservation_id]
            if held.record["status"] == "HELD" and held.deadline_ms == deadline_ms:
                lapsed = self._release(held, held.record["request"], "LAPSED", len(outcomes) + 1)
                outcomes.append(lapsed)
                self._tell_cart(reservation_id, "", len(outcomes))
        return outcomes

    def _decide(self, key: bytes | None, name: str, command: Command) -> Outcome:
        request = command["request"]
        where = (request["eventId"], request["section"])
        expected_key = f"{where[0]}-{where[1]}".encode()
        astray = ""
        if key != expected_key:
            astray = "KEY_MISMATCH"
        elif partition_of(expected_key, self.partitions) != self.partition:
            astray = "WRONG_PARTITION"
        if astray:
            if name in OF_MONEY:
                self._tell_payments(sale_decided(self._id(), name, command, "REFUSED", astray, 0))
            self._tell_unknown(name, command, astray)
            return self._refusal(name, request, astray, foreign=True)
        outcome = self._decide_here(where, name, command)
        held = self.reservations.get(request["reservationId"])
        if held is None or is_of(held, request):
            self._tell_cart(request["reservationId"], request["correlationId"])
        else:
            self._tell_unknown(name, command, "CONFLICT")
        return outcome

    def _decide_here(self, where: tuple[int, str], name: str, command: Command) -> Outcome:
        self._touched.add(where)
        if name in HOLDS:
            return self._hold(name, command)
        if name == "OpenSection":
            return self._open(where, command)
        if name in {"BlockSeats", "UnblockSeats"}:
            return self._block(where, name, command)
        if name == "ChangeSaleWindow":
            return self._change_window(where, command)
        outcome = self._change(name, command)
        held = self.reservations.get(command["request"]["reservationId"])
        self._tell_payments(told_of(self._id(), held, name, command, outcome))
        return outcome

    # Carts.

    def _tell_cart(self, reservation_id: str, answers: str, ordinal: int = 0) -> None:
        """Note what a cart must be told of its part."""
        held = self.reservations.get(reservation_id)
        if held is None or not PART_ID.fullmatch(reservation_id):
            return
        self._tell(held.record["request"], answers, ordinal, standing_of(held))

    def _tell_unknown(self, name: str, command: Command, reason: str) -> None:
        """Note what a cart must be told where nobody has looked for its part."""
        # Of an extension only that it is answered.
        is_wish = name == "ExtendHold"
        is_asked = is_wish or name in HOLDS or name in OF_PARTS or name in OF_MONEY
        request = command["request"]
        if is_asked and PART_ID.fullmatch(request["reservationId"]):
            why = "UNSPECIFIED" if is_wish else reason
            unknown = {"offset": self._offset, "reason": why}
            self._tell(request, request["correlationId"], 0, NOWHERE | unknown)

    def _tell(
        self, request: dict[str, Any], answers: str, ordinal: int, standing: dict[str, Any]
    ) -> None:
        told = {"request": request, "outcomeId": self._id(ordinal)}
        self.carts.append(("PartDecided", told | {"answers": answers, "standing": standing}))

    # Payments.

    def _tell_payments(self, told: Outcome | None) -> None:
        """Note what payments must be told; nothing of a part, which its cart is told of."""
        if told is not None and not PART_ID.fullmatch(told[1]["request"]["reservationId"]):
            self.payments = told

    # Holds.

    def _hold(self, name: str, command: Command) -> Outcome:
        request = command["request"]
        chosen = [(seat["row"], seat["seat"]) for seat in command.get("seats", [])]
        kept = chosen if len(chosen) <= LISTED_MAX else []
        if CART_PAYMENT_ID.fullmatch(request["reservationId"]):
            return self._refusal("", request, "CONFLICT")
        known = self.reservations.get(request["reservationId"])
        if known is not None:
            return self._hold_again(known, command, kept)
        where = (request["eventId"], request["section"])
        section = self.sections.get(where)
        count = command["seatCount"]
        listed = chosen if "seats" in command else None
        answer = self._choose(section, *wanted_of(name, command, section), listed)
        record = {
            "request": request,
            "seatCount": count,
            "chosen": [{"row": row, "seat": seat} for row, seat in kept],
            "status": "HELD",
            "epoch": 1,
            "heldAtMs": self.time.ms,
            "firstDeadlineMs": 0,
            "decidedOffset": self._offset,
            "decidedVersion": 0,
            "seats": [],
            "reason": "UNSPECIFIED",
            "seat": None,
            "later": [],
            **FREE_OF_CHARGE,
            **UNPAID,
        }
        if isinstance(answer, tuple):
            reason, seat = answer
            outcome = self._refusal("Hold", request, reason, seat)
            record |= {"status": "REJECTED", "epoch": 0, "reason": reason}
            record |= {"seat": seat, "decidedVersion": outcome[1]["version"]}
            self.reservations[request["reservationId"]] = Reservation(record, [], outcome, outcome)
            return outcome
        assert section is not None
        section.give(answer, request["reservationId"])
        section.free -= len(answer)
        section.held += len(answer)
        self._changed(where, section)
        deadline_ms = self.time.ms + section.opened["holdMs"]
        seats = ranges(section, answer)
        price = price_of(section, answer)
        outcome = (
            "SeatsHeld",
            self._head(request, section.version)
            | {"epoch": 1, "deadlineMs": deadline_ms, "seats": seats}
            | price,
        )
        record |= {"firstDeadlineMs": deadline_ms, "decidedVersion": section.version}
        record |= {"seats": seats} | price
        held = Reservation(record, answer, outcome, outcome, OrderedDict(), deadline_ms)
        self.reservations[request["reservationId"]] = held
        heapq.heappush(self._due, (deadline_ms, request["reservationId"]))
        return outcome

    def _hold_again(self, known: Reservation, command: Command, kept: list[Place]) -> Outcome:
        request = command["request"]
        record = known.record
        same = is_of(known, request)
        if known.first[0] == "ReservationReleased":
            # Cancelled before it came.
            reason = "CANCELLED" if same else "CONFLICT"
            return self._refusal("Hold" if same else "", request, reason)
        listed = [(seat["row"], seat["seat"]) for seat in record["chosen"]]
        if same and record["seatCount"] == command["seatCount"] and listed == kept:
            return known.first
        return self._refusal("", request, "CONFLICT")

    def _choose(
        self,
        section: Section | None,
        choice: Choice,
        count: int,
        chosen: list[Place] | None,
    ) -> list[Place] | tuple[str, dict[str, int] | None]:
        if section is None:
            return "UNKNOWN_SECTION", None
        rules = section.opened
        if rules["saleStartsMs"] and self.time.ms < rules["saleStartsMs"]:
            return "NOT_OPEN", None
        if rules["saleEndsMs"] and self.time.ms >= rules["saleEndsMs"]:
            return "SALE_CLOSED", None
        if not 1 <= count <= rules["maxSeatsPerHold"]:
            return "BAD_COUNT", None
        if chosen is None:
            return choice(section, count)
        if len(chosen) != count:
            return "BAD_COUNT", None
        for index, place in enumerate(chosen):
            if not section.exists(place) or place in chosen[:index]:
                return "UNKNOWN_SEAT", {"row": place[0], "seat": place[1]}
        if section.free < count:
            return "SOLD_OUT", None
        for place in chosen:
            if section.holder(place) is not None:
                return "SEAT_TAKEN", {"row": place[0], "seat": place[1]}
        if rules["orphanRule"] == "STRICT":
            for row in {row for row, _ in chosen}:
                if section.rows[row].leaves_single({seat for at, seat in chosen if at == row}):
                    return "ORPHAN_SEAT", None
        return sorted(chosen)

    # What becomes of a reservation.

    def _change(self, name: str, command: Command) -> Outcome:
        request = command["request"]
        held = self.reservations.get(request["reservationId"])
        if held is None:
            if name == "ReleaseReservation":
                return self._cancel_unknown(request)
            return self._refusal(name, request, "UNKNOWN_RESERVATION")
        record = held.record
        own = record["request"]
        # What was read of equal bytes is one value, nearly always.
        is_same = own is request
        if not is_same and any(own[key] != request[key] for key in ("section", "eventId")):
            return self._refusal(name, request, "CONFLICT")
        if own["userId"] != request["userId"]:
            return self._refusal(name, request, "FORBIDDEN")
        if name == "ClaimPayment" and PART_ID.fullmatch(request["reservationId"]):
            return self._refusal(name, request, "CONFLICT")
        status = record["status"]
        if status == "REJECTED":
            return self._refusal(name, request, "NOT_HELD")
        known_epochs = {record["epoch"]}
        if name == "ReleaseReservation":
            known_epochs.add(0)
        if name in OF_MONEY and any(one["kind"] == "REACQUIRED" for one in record["later"]):
            # Who paid knows only the epoch that had ended.
            known_epochs.add(record["epoch"] - 1)
        before = started_before(held, command) if name == "StartPayment" else None
        if before is not None:
            return before
        if command["epoch"] not in known_epochs:
            return self._refusal(name, request, "STALE_EPOCH")
        if name == "ConfirmReservation":
            return self._confirm(held, request)
        if name == "FailPayment":
            return self._fail(held, request, FAILURES[command["cause"]])
        if name == "RefundSeats":
            return self._refund(held, request)
        if name == "StartPayment":
            return self._pay(held, command)
        if name == "ClaimPayment":
            return self._claim(held, command)
        if status in IN_USE:
            return self._refusal(name, request, IN_USE[status])
        if name == "ReleaseReservation":
            is_over = status == "RELEASED"
            return held.last if is_over else self._release(held, request, "CANCELLED")
        if status != "HELD":
            return self._refusal(name, request, "NOT_HELD")
        return self._extend(held, request)

    def _confirm(self, held: Reservation, request: dict[str, Any]) -> Outcome:
        record = held.record
        if record["status"] == "SOLD":
            return held.last
        if record["status"] == "REFUNDED":
            return self._refusal("", request, "ALREADY_REFUNDED")
        section = self._section_of(record)
        reacquired = record["status"] == "RELEASED"
        if reacquired:
            if section is None or held.last[1]["cause"] == "CANCELLED":
                return self._refusal("", request, "REFUND_DUE")
            if any(section.holder(place) is not None for place in held.places):
                return self._refusal("", request, "REFUND_DUE")
            section.give(held.places, request["reservationId"])
            section.free -= len(held.places)
            section.held += len(held.places)
            record["epoch"] += 1
        return self._sell(held, request, reacquired=reacquired)

    def _sell(self, held: Reservation, request: dict[str, Any], *, reacquired: bool) -> Outcome:
        record = held.record
        section = self._section_of(record)
        assert section is not None
        section.held -= len(held.places)
        section.sold += len(held.places)
        self._changed((request["eventId"], request["section"]), section)
        record["status"] = "SOLD"
        outcome = (
            "ReservationConfirmed",
            self._head(request, section.version)
            | {"epoch": record["epoch"], "seats": record["seats"], "reacquired": reacquired}
            | price_told(record),
        )
        if not reacquired:
            held.sold = outcome
        self._later(held, "REACQUIRED" if reacquired else "CONFIRMED", outcome, 0)
        return outcome

    def _unpayable(self, held: Reservation) -> str:
        """Say why there is nothing to pay for; empty where there is."""
        record = held.record
        if record["status"] == "RELEASED":
            cause: str = held.last[1]["cause"]
            return cause if cause in {"CANCELLED", "LAPSED"} else "PAYMENT_FAILED"
        if record["status"] in IN_USE:
            return IN_USE[record["status"]]
        return "" if record["currency"] else "NOT_PRICED"

    def _claim(self, held: Reservation, command: Command) -> Outcome:
        """Keep seats for money that another shop has heard of, also when the sale is over."""
        record, request = held.record, command["request"]
        is_same = record["status"] == "PAYING" and record["gateway"] == command["gateway"]
        reason = "" if is_same else self._unpayable(held)
        if reason:
            return self._refusal("", request, reason)
        for part, wrong in (("currency", "WRONG_CURRENCY"), ("amount", "WRONG_AMOUNT")):
            if command[part] != record[part]:
                return self._refusal("", request, wrong)
        if is_same:
            assert held.started is not None
            return held.started
        return self._begin(held, command)

    def _pay(self, held: Reservation, command: Command) -> Outcome:
        """Start the payment for a hold; sell at once what costs nothing."""
        record, request = held.record, command["request"]
        reason = self._unpayable(held)
        if reason:
            return self._refusal("", request, reason)
        section = self._section_of(record)
        assert section is not None
        rules = section.opened
        if rules["saleStartsMs"] and self.time.ms < rules["saleStartsMs"]:
            return self._refusal("", request, "NOT_OPEN")
        if rules["saleEndsMs"] and self.time.ms >= rules["saleEndsMs"]:
            return self._refusal("", request, "SALE_CLOSED")
        if is_free(record):
            return self._sell(held, request, reacquired=False)
        return self._begin(held, command)

    def _begin(self, held: Reservation, command: Command) -> Outcome:
        """Keep seats while they are paid for."""
        record, request = held.record, command["request"]
        section = self._section_of(record)
        assert section is not None
        rules = section.opened
        record["status"], record["gateway"] = "PAYING", command["gateway"]
        # The log's time may have stood still since a silence, but not for more than a day.
        begins_ms = max(self.time.ms, min(self._appended, self.time.ms + SILENCE_MS_MAX))
        deadline_ms = begins_ms + rules["paymentMs"]
        held.started = (
            "PaymentStarted",
            self._head(request, section.version)
            | {"epoch": record["epoch"], "deadlineMs": deadline_ms, "seats": record["seats"]}
            | price_told(record)
            | {"gateway": command["gateway"]},
        )
        self._later(held, "PAYMENT_STARTED", held.started, deadline_ms)
        return held.started

    def _fail(self, held: Reservation, request: dict[str, Any], cause: str) -> Outcome:
        """Give the seats of a payment back that brought no money for them."""
        status = held.record["status"]
        if status == "PAYING":
            return self._release(held, request, cause)
        if status == "RELEASED" and held.last[1]["cause"] not in {"CANCELLED", "LAPSED"}:
            return held.last
        reason = held.last[1]["cause"] if status == "RELEASED" else IN_USE.get(status, "NOT_PAID")
        return self._refusal("", request, reason)

    def _refund(self, held: Reservation, request: dict[str, Any]) -> Outcome:
        """Give the seats of a sale back whose money went back."""
        record = held.record
        if record["status"] == "REFUNDED":
            return held.last
        if record["status"] != "SOLD":
            is_paying = record["status"] == "PAYING"
            return self._refusal("", request, "PAYMENT_IN_PROGRESS" if is_paying else "NOT_PAID")
        section = self._section_of(record)
        assert section is not None
        section.give(held.places, None)
        section.sold -= len(held.places)
        section.free += len(held.places)
        self._changed((request["eventId"], request["section"]), section)
        record["status"] = "REFUNDED"
        outcome = (
            "ReservationRefunded",
            self._head(request, section.version)
            | {"epoch": record["epoch"], "seats": record["seats"]}
            | price_told(record),
        )
        self._later(held, "REFUNDED", outcome, 0)
        return outcome

    def _extend(self, held: Reservation, request: dict[str, Any]) -> Outcome:
        told = held.extensions.get(request["correlationId"])
        if told is not None:
            return told
        record = held.record
        section = self._section_of(record)
        assert section is not None
        rules = section.opened
        deadline_ms = min(self.time.ms + rules["holdMs"], record["heldAtMs"] + rules["maxHoldMs"])
        if deadline_ms <= held.deadline_ms:
            return self._refusal("", request, "EXTENSION_CAP")
        held.deadline_ms = deadline_ms
        heapq.heappush(self._due, (deadline_ms, record["request"]["reservationId"]))
        outcome = (
            "HoldExtended",
            self._head(request, section.version)
            | {"epoch": record["epoch"], "deadlineMs": deadline_ms}
            | price_told(record),
        )
        held.extensions[request["correlationId"]] = outcome
        while len(held.extensions) > (1 if self.time.follows_jumps else EXTENSIONS_KEPT):
            held.extensions.popitem(last=False)
        self._later(held, "EXTENDED", outcome, deadline_ms)
        return outcome

    def _release(
        self, held: Reservation, request: dict[str, Any], cause: str, ordinal: int = 0
    ) -> Outcome:
        """Give the seats of a hold or a payment back; ordinal: 0 but for a lapse."""
        record = held.record
        section = self._section_of(record)
        assert section is not None
        section.give(held.places, None)
        section.held -= len(held.places)
        section.free += len(held.places)
        self._changed((record["request"]["eventId"], record["request"]["section"]), section)
        record["status"] = "RELEASED"
        outcome = (
            "ReservationReleased",
            self._head(request, section.version, ordinal)
            | {"epoch": record["epoch"], "cause": cause, "seats": record["seats"]}
            | price_told(record),
        )
        self._later(held, cause, outcome, 0)
        return outcome

    def _cancel_unknown(self, request: dict[str, Any]) -> Outcome:
        section = self.sections.get((request["eventId"], request["section"]))
        version = section.version if section else 0
        outcome = (
            "ReservationReleased",
            self._head(request, version)
            | {"epoch": 0, "cause": "CANCELLED", "seats": []}
            | FREE_OF_CHARGE,
        )
        record = {
            "request": request,
            "seatCount": 0,
            "chosen": [],
            "status": "RELEASED",
            "epoch": 0,
            "heldAtMs": self.time.ms,
            "firstDeadlineMs": 0,
            "decidedOffset": self._offset,
            "decidedVersion": version,
            "seats": [],
            "reason": "CANCELLED",
            "seat": None,
            "later": [],
            **FREE_OF_CHARGE,
            **UNPAID,
        }
        self.reservations[request["reservationId"]] = Reservation(record, [], outcome, outcome)
        return outcome

    def _later(self, held: Reservation, kind: str, outcome: Outcome, deadline_ms: int) -> None:
        """Remember a later decision; of extensions, the last ones."""
        fields = outcome[1]
        entry = {
            "kind": kind,
            "request": fields["request"],
            "offset": self._offset,
            "ordinal": int(fields["outcomeId"].rpartition(":")[2]),
            "version": fields["version"],
            "atMs": self.time.ms,
            "epoch": fields["epoch"],
            "deadlineMs": deadline_ms,
        }
        later = [*held.record["later"], entry]
        extensions = [one for one in later if one["kind"] == "EXTENDED"]
        forgotten = extensions[: len(extensions) - len(held.extensions)]
        held.record["later"] = [one for one in later if one not in forgotten]
        if kind != "EXTENDED":
            held.last = outcome
            held.deadline_ms = 0

    # Sections.

    def _open(self, where: tuple[int, str], command: Command) -> Outcome:
        request = command["request"]
        section = self.sections.get(where)
        if section is None:
            if not is_sound(command):
                return self._refusal("", request, "BAD_LAYOUT")
            if sum((row["seatCount"] + 7) // 8 for row in command["rows"]) > FREE_BYTES_MAX:
                return self._refusal("", request, "STATE_TOO_LARGE")
            rows = [
                Row([None] * row["seatCount"], frozenset(row["aisles"])) for row in command["rows"]
            ]
            section = self.sections[where] = Section(command, rows)
            blocked = places_of(command["blocked"])
            section.give(blocked, BLOCKED)
            section.blocked = len(blocked)
            section.ever_blocked = bool(blocked)
            section.free = sum(len(row.seats) for row in rows) - len(blocked)
            self._changed(where, section)
        elif any(section.opened[name] != command[name] for name in command if name != "request"):
            return self._refusal("", request, "CONFLICT")
        counts = {
            "capacity": sum(len(row.seats) for row in section.rows),
            "blockedCount": len(places_of(command["blocked"])),
        }
        return "SectionOpened", self._head(request, section.version) | counts

    def _block(self, where: tuple[int, str], name: str, command: Command) -> Outcome:
        request = command["request"]
        section = self.sections.get(where)
        if section is None:
            return self._refusal("", request, "UNKNOWN_SECTION")
        blocks = name == "BlockSeats"
        places: list[Place] = []
        for part in command["seats"]:
            # Seat by seat, so that an absurd count ends at the first seat that is none.
            for row, seat in each_place(part):
                if not section.exists((row, seat)) or (row, seat) in places:
                    return self._refusal("", request, "UNKNOWN_SEAT", {"row": row, "seat": seat})
                places.append((row, seat))
        if not places or any(part["count"] < 1 for part in command["seats"]):
            return self._refusal("", request, "BAD_COUNT")
        for row, seat in places:
            if section.holder((row, seat)) != (None if blocks else BLOCKED):
                reason = "SEAT_TAKEN" if blocks else "NOT_BLOCKED"
                return self._refusal("", request, reason, {"row": row, "seat": seat})
        section.give(places, BLOCKED if blocks else None)
        section.ever_blocked = True
        section.free -= len(places) if blocks else -len(places)
        section.blocked += len(places) if blocks else -len(places)
        self._changed(where, section)
        outcome = self._head(request, section.version) | {"seats": command["seats"]}
        return "SeatsBlocked" if blocks else "SeatsUnblocked", outcome

    def _change_window(self, where: tuple[int, str], command: Command) -> Outcome:
        request = command["request"]
        section = self.sections.get(where)
        if section is None:
            return self._refusal("", request, "UNKNOWN_SECTION")
        window = {name: command[name] for name in ("saleStartsMs", "saleEndsMs")}
        if not is_window(**window):
            return self._refusal("", request, "BAD_LAYOUT")
        if section.opened | window != section.opened:
            # Its layout from now on: who opens it again has to say so too.
            section.opened = section.opened | window
            self._changed(where, section)
        return "SaleWindowChanged", self._head(request, section.version) | window

    # Words shared by all.

    def _section_of(self, record: dict[str, Any]) -> Section | None:
        request = record["request"]
        return self.sections.get((request["eventId"], request["section"]))

    def _changed(self, where: tuple[int, str], section: Section) -> None:
        section.version += 1
        self._touched.add(where)

    def _id(self, ordinal: int = 0) -> str:
        """Return the id of an outcome of the present record."""
        return f"{self.topic}:{self.partition}:{self._offset}:{ordinal}"

    def _head(self, request: dict[str, Any], version: int, ordinal: int = 0) -> dict[str, Any]:
        return {
            "request": request,
            "outcomeId": self._id(ordinal),
            "version": version,
            "decidedAtMs": self.time.ms,
        }

    def _refusal(
        self,
        name: str,
        request: dict[str, Any],
        reason: str,
        seat: dict[str, int] | None = None,
        *,
        foreign: bool = False,
    ) -> Outcome:
        """Refuse a hold (its outcome for good) or another command (which changes nothing)."""
        section = self.sections.get((request["eventId"], request["section"]))
        version = 0 if foreign or section is None else section.version
        record = "ReservationRejected" if name == "Hold" or name in HOLDS else "CommandRefused"
        return record, self._head(request, version) | {"reason": reason, "seat": seat}


def wanted_of(name: str, command: Command, section: Section | None) -> tuple[Choice, int]:
    """Return what chooses the seats of a hold that lists none, and how many it is to choose."""
    count = command["seatCount"]
    if command.get("orFewer") and section is not None:
        return as_many_in_pieces, min(count, section.opened["maxSeatsPerHold"])
    return (in_pieces if name == "HoldInPieces" else best_available), count
