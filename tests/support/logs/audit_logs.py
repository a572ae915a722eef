"""Logs for the auditor: random commands, and what a sound run of them leaves in the topics."""

import random
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import google_crc32c

from scripts.auditing.families.states import LAYOUT_FIELDS
from scripts.auditing.log import Log
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.oracle.model import Oracle
from scripts.auditing.oracle.seats import Section
from scripts.auditing.schemas import Avro, Unreadable, WireFormat
from scripts.auditing.stored import STATE_BY_TAG
from scripts.auditing.topics import LogRecord, Records

START_MS = 1_700_000_000_000
AVRO = Avro()
NAMES = [name for name in sorted(AVRO._rules) if AVRO.knows(name)]
ID_BY_NAME = {name: 100 + index for index, name in enumerate(NAMES)}
WIRE = WireFormat(AVRO, {ID_BY_NAME[name]: (name, None) for name in NAMES})

Fields = dict[str, Any]
Input = tuple[int, bytes | None, bytes | None, int]  # partition, key, value, timestamp


def value_of(name: str, fields: Fields, ids: Mapping[str, int] = ID_BY_NAME) -> bytes:
    """Return the record with its wire header."""
    return b"\0" + ids[name].to_bytes(4, "big") + AVRO.encode(name, fields)


def stored(name: str, fields: Fields, due_ms: int = 0) -> bytes:
    """Return a changelog value."""
    return sealed(AVRO.encode(name, fields), due_ms)


def sealed(payload: bytes, due_ms: int = 0) -> bytes:
    """Return a changelog value of any payload."""
    body = struct.pack(">BQ", 1, due_ms) + payload
    return body + struct.pack(">I", google_crc32c.value(body))


def open_section(section: str, event_id: int, rows: list[Fields], **rules: Any) -> Fields:
    """Return an OpenSection command."""
    return {
        "request": identity(f"open-{section}", "operator", section, event_id),
        "layoutVersion": 1,
        "rows": rows,
        "blocked": [],
        "orphanRule": "PREFER",
        "maxSeatsPerHold": 8,
        "holdMs": 10_000,
        "maxHoldMs": 25_000,
        "saleStartsMs": 0,
        "saleEndsMs": 0,
        "paymentMs": 900_000,
        "currency": "",
        "prices": [],
    } | rules


def prices(currency: str, **amounts: int) -> Fields:
    """Return the prices of an OpenSection command, by category."""
    listed = [{"category": name, "amount": amount} for name, amount in amounts.items()]
    return {"currency": currency, "prices": listed}


def row_plan(label: str, seats: int, *aisles: int, category: str = "") -> Fields:
    """Return one row."""
    return {
        "label": label,
        "seatCount": seats,
        "firstNumber": 1,
        "numberStep": 1,
        "seatLabels": [],
        "aisles": list(aisles),
        "category": category,
        "seatCategories": [],
    }


def identity(
    reservation_id: str, user: str, section: str, event_id: int, correlation: str = "c"
) -> Fields:
    """Return who asks."""
    return {
        "reservationId": reservation_id,
        "userId": user,
        "correlationId": correlation,
        "section": section,
        "eventId": event_id,
    }


# How far a broker's clock is off at a tick: time does not follow more than a minute by itself.
_LEAPS = (0, 0, 0, 0, 0, 90_000, -90_000)
# How often each kind of record is drawn.
_WEIGHTS = {
    "hold": 30,
    "choose": 14,
    "ConfirmReservation": 14,
    "ReleaseReservation": 9,
    "ExtendHold": 8,
    "BlockSeats": 2,
    "UnblockSeats": 2,
    "open": 1,
    "window": 2,
    "tick": 12,
    "foreign": 2,
    "garbage": 1,
}

# The same of what is asked of a hold that is paid for.
_PAYMENTS = {
    "StartPayment": 2,
    "ConfirmReservation": 5,
    "FailPayment": 3,
    "RefundSeats": 3,
    "ReleaseReservation": 1,
    "ExtendHold": 1,
}


class RandomBuyers:
    """Draws commands for a few small sections, sound and unsound ones, from a seed."""

    def __init__(
        self,
        seed: int,
        partitions: int = 3,
        sections: int = 4,
        ids: Mapping[str, int] = ID_BY_NAME,
    ) -> None:
        self.ids = ids
        self.random = random.Random(seed)
        # Prices decide nothing else.
        self.pricing = random.Random(seed)
        # Nor does this draw what was drawn before there were payments.
        self.paying = random.Random(seed)
        self.bought = 0
        self.partitions = partitions
        self.now_ms = START_MS
        self.sections = [f"S{number}" for number in range(sections)]
        self.count = 0
        self.layouts: dict[str, Fields] = {}

    def value_of(self, name: str, fields: Fields) -> bytes:
        """Return the record with its wire header."""
        return value_of(name, fields, self.ids)

    def commands(self, count: int) -> Iterator[Input]:
        """Yield (partition, key, value, timestamp)."""
        for section in self.sections:
            yield self.send("OpenSection", self.layout(section))
        for _ in range(count):
            self.now_ms += self.random.choice([0, 0, 1, 50, 700])
            yield self.one()
            if self.paying.random() < 0.12:
                yield from self.buy()

    def layout(self, section: str) -> Fields:
        """Draw a layout once for each section."""
        if section not in self.layouts:
            draw = self.random
            rows = []
            for label in range(draw.randint(2, 4)):
                seats = draw.randint(5, 12)
                aisles = sorted(draw.sample(range(1, seats), draw.randint(0, 2)))
                rows.append(row_plan(str(label), seats, *aisles))
            self.layouts[section] = open_section(
                section,
                7,
                rows,
                blocked=draw.choice([[], [{"row": 1, "first": 0, "count": 2}]]),
                orphanRule=draw.choice(["PREFER", "PREFER", "STRICT", "OFF"]),
                **self.prices(section, rows),
            )
        return self.layouts[section]

    def prices(self, section: str, rows: list[Fields]) -> Fields:
        """Draw prices of rows, and of seats of the last row; the first section has none."""
        draw = self.pricing
        if section == self.sections[0]:
            return {}
        for row in rows[:-1]:
            row["category"] = draw.choice("ab")
        rows[-1]["seatCategories"] = [draw.choice("bc") for _ in range(rows[-1]["seatCount"])]
        used = {row["category"] for row in rows[:-1]} | set(rows[-1]["seatCategories"])
        amounts = {name: draw.choice([0, 1, 4_500, 10**12 - 1]) for name in sorted(used)}
        return prices(draw.choice(["EUR", "KRW"]), **amounts)

    def send(self, name: str, fields: Fields) -> Input:
        """Return the command on its right partition."""
        request = fields["request"]
        key = f"{request['eventId']}-{request['section']}".encode()
        return partition_of(key, self.partitions), key, self.value_of(name, fields), self.now_ms

    def one(self) -> Input:
        """Draw one record."""
        draw = self.random
        kind = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        section = draw.choice([*self.sections, *self.sections, "NONE"])
        self.count += draw.random() < 0.6
        # An id that is a few requests old, so that most of them are known and some are not.
        number = max(0, self.count - draw.randint(0, 12))
        request = identity(
            f"r{number}",
            f"u{number}" if draw.random() < 0.95 else "other",
            self.sections[number % len(self.sections)] if draw.random() < 0.93 else section,
            7,
            f"c{draw.randint(0, 3)}",
        )
        if kind == "hold":
            count = draw.choice([1, 2, 2, 2, 3, 4, 8, 0, 9, -1, 2**40])
            return self.send("HoldBestAvailable", {"request": request, "seatCount": count})
        if kind == "choose":
            return self.choose(request)
        # Drawn for all others, though few need it, so that a seed draws what it always drew.
        epoch = draw.choice([1, 1, 1, 1, 1, 2, 0])
        match kind:
            case "ConfirmReservation" | "ReleaseReservation" | "ExtendHold":
                return self.send(kind, {"request": request, "epoch": epoch})
            case "BlockSeats" | "UnblockSeats":
                return self.block(kind, request)
            case "open":
                return self.open_again()
            case "window":
                return self.change_window(request, section)
            case "tick":
                return self.tick()
        return self.unsound(kind, request)

    def buy(self) -> Iterator[Input]:
        """Draw a hold with the start of its payment, and what is asked of it, or of one before."""
        draw = self.paying
        self.bought += 1
        yield self.send("HoldBestAvailable", {"request": self.buyer(self.bought), "seatCount": 1})
        yield self.pay("StartPayment", self.bought)
        for _ in range(draw.randint(0, 3)):
            kind = draw.choices(list(_PAYMENTS), list(_PAYMENTS.values()))[0]
            yield self.pay(kind, max(1, self.bought - draw.randint(0, 2)))

    def buyer(self, number: int) -> Fields:
        """Draw who asks for a hold of those that are paid for; its section never changes."""
        draw = self.paying
        section = self.sections[-1 - number % len(self.sections)]
        user = f"u{number}" if draw.random() < 0.97 else "other"
        return identity(f"p{number}", user, section, 7, f"c{draw.randint(0, 2)}")

    def pay(self, kind: str, number: int) -> Input:
        """Draw a command of a payment."""
        draw = self.paying
        fields = {"request": self.buyer(number), "epoch": draw.choice([1] * 12 + [2, 0])}
        if kind == "StartPayment":
            fields |= {"gateway": draw.choice(["mock", "mock", "mock", "other"])}
            fields |= {"method": "card", "parameters": b"\0token"}
        if kind == "FailPayment":
            fields |= {"cause": draw.choice(["DECLINED", "EXPIRED", "DIFFERED", "UNSPECIFIED"])}
        return self.send(kind, fields)

    def choose(self, request: Fields) -> Input:
        """Draw a hold of chosen seats, half of them side by side."""
        draw = self.random
        seats = [
            {"row": draw.randint(0, 3), "seat": draw.randint(0, 11)}
            for _ in range(draw.randint(1, 3))
        ]
        if draw.random() < 0.5:
            first = seats[0]["seat"]
            seats = [{"row": seats[0]["row"], "seat": first + at} for at in range(len(seats))]
        count = len(seats) if draw.random() < 0.95 else len(seats) + 1
        return self.send(
            "HoldChosenSeats", {"request": request, "seatCount": count, "seats": seats}
        )

    def block(self, name: str, request: Fields) -> Input:
        """Draw two seats to block, or to unblock."""
        draw = self.random
        request |= {"reservationId": f"b{self.count}"}
        seats = [{"row": draw.randint(0, 3), "first": draw.randint(0, 4), "count": 2}]
        return self.send(name, {"request": request, "seats": seats})

    def open_again(self) -> Input:
        """Draw a section that is open already, sometimes with other rules, or one that is not."""
        draw = self.random
        layout = self.layout(draw.choice(self.sections))
        if draw.random() < 0.3:
            layout = layout | {"holdMs": 5_000}
        if draw.random() < 0.3:
            layout = layout | {"maxSeatsPerHold": 17}
            layout["request"] = identity("open-n", "operator", "NEW", 7)
        if self.pricing.random() < 0.2:
            currency, amount = (
                self.pricing.choice(["EUR", "eur", ""]),
                self.pricing.choice([-1, 7]),
            )
            layout = layout | prices(currency, a=amount)
        return self.send("OpenSection", layout)

    def change_window(self, request: Fields, section: str) -> Input:
        """Draw a sale window, open most of the time, so that there is something to judge."""
        draw = self.random
        starts_ms = draw.choice([*[0] * 6, self.now_ms + 900, -1])
        ends_ms = draw.choice([*[0] * 6, self.now_ms + 2_000, self.now_ms])
        request |= {"reservationId": f"w{self.count}", "section": section}
        window = {"saleStartsMs": starts_ms, "saleEndsMs": ends_ms}
        return self.send("ChangeSaleWindow", {"request": request, **window})

    def tick(self) -> Input:
        """Draw a tick; time goes on, and sometimes the two clocks disagree."""
        draw = self.random
        self.now_ms += draw.choice([10, 3_000])
        timer_ms = self.now_ms + draw.choice([0, 0, -4_000, -9_000])
        value = self.value_of("Tick", {"timerMs": timer_ms})
        under = b"tick-2" if self.count % 3 else b"tick"
        now_ms = self.now_ms + _LEAPS[self.count % len(_LEAPS)]
        return draw.randrange(self.partitions), under, value, now_ms

    def unsound(self, kind: str, request: Fields) -> Input:
        """Draw a hold that went astray ("foreign"), or bytes that are none ("garbage")."""
        draw = self.random
        hold = {"request": request, "seatCount": 1}
        partition, key, value, now_ms = self.send("HoldBestAvailable", hold)
        assert value is not None
        if kind == "foreign":
            if draw.random() < 0.5:
                return partition, draw.choice([None, b"7-OTHER"]), value, now_ms
            return (partition + 1) % self.partitions, key, value, now_ms
        garbage = draw.choice([b"", b"{}", value[:-1], value + b"\0"])
        return partition, key, garbage, now_ms


def sound_log(seed: int, count: int = 400, partitions: int = 3) -> Log:
    """Return what a sound run over random commands leaves behind."""
    log = Log(WIRE, partitions)
    written = log.outcomes, log.statuses, log.changelog, log.dead_letters, log.payments
    for topic in (log.commands, *written):
        topic.update({partition: [] for partition in range(partitions)})
    draw = random.Random(seed)
    for partition, key, value, timestamp in RandomBuyers(seed, partitions).commands(count):
        records = log.commands[partition]
        offset = records[-1].offset + 1 if records else 0
        if draw.random() < 0.05:
            offset += 1  # a transaction's marker, or a record of one that was aborted
        records.append(LogRecord(offset, timestamp, key, value))
    for partition in range(partitions):
        run_partition(log, partition, draw)
        commands = log.commands[partition]
        log.committed[partition] = commands[-1].offset + 1 if commands else 0
    return log


def run_partition(
    log: Log, partition: int, draw: random.Random, *, poisonous: float = 0.01
) -> None:
    """Let the oracle play the worker, in batches of random size.

    poisonous: share of the readable commands that are set aside.
    """
    oracle = Oracle("section-commands", partition, log.partitions)
    commands = log.commands[partition]
    at = 0
    while at < len(commands):
        batch = commands[at : at + draw.randint(1, 9)]
        at += len(batch)
        touched: dict[tuple[int, str], Section] = {}
        changed: set[str] = set()
        for record in batch:
            assert record.value is not None
            command = None
            try:
                command = WIRE.decode(record.value)
            except Unreadable:
                bury(log, partition, record, b"NOT_A_RECORD")
            set_aside = command is not None and draw.random() < poisonous
            if set_aside:
                bury(log, partition, record, b"QUARANTINED")
            outcomes = oracle.apply(
                record.offset, record.timestamp, record.key, command, set_aside=set_aside
            )
            for name, fields in outcomes:
                reservation_id = fields["request"]["reservationId"]
                changed.add(reservation_id)
                append(log.outcomes, partition, reservation_id.encode(), value_of(name, fields))
            if oracle.payments is not None:
                name, fields = oracle.payments
                key = fields["request"]["reservationId"].encode()
                append(log.payments, partition, key, value_of(name, fields))
            for section in oracle.touched_sections():
                opened = section.opened["request"]
                touched[opened["eventId"], opened["section"]] = section
        for (event_id, name), section in touched.items():
            key = f"{event_id}-{name}".encode()
            append(
                log.statuses, partition, key, value_of("SectionStatusEvent", status_of(section))
            )
            write_section(log, partition, key, section)
        for reservation_id in changed & oracle.reservations.keys():
            held = oracle.reservations[reservation_id]
            due_ms = held.deadline_ms if held.record["status"] == "HELD" else 0
            value = stored("Reservation", held.record, due_ms)
            append(log.changelog, partition, b"r" + reservation_id.encode(), value)
        progress = {
            "nextOffset": oracle.next_offset,
            "logTimeMs": oracle.time.ms,
            "timerMs": oracle.time.timer_ms,
            "logicVersion": 1,
        }
        append(log.changelog, partition, b"p", stored("Progress", progress))


def letter_headers(partition: int, offset: int, cause: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return those headers of a dead letter that are judged."""
    return (
        ("dead-letter-topic", b"section-commands"),
        ("dead-letter-partition", str(partition).encode()),
        ("dead-letter-offset", str(offset).encode()),
        ("dead-letter-cause", cause),
    )


def bury(log: Log, partition: int, record: LogRecord, cause: bytes) -> None:
    """Write a record's dead letter."""
    headers = letter_headers(partition, record.offset, cause)
    append(log.dead_letters, partition, record.key, record.value, headers)


def write_section(log: Log, partition: int, key: bytes, section: Section) -> None:
    """Write a section's records to the changelog."""
    event_id, _, name = key.decode().partition("-")
    state = {
        "eventId": int(event_id),
        "section": name,
        "layoutVersion": section.opened["layoutVersion"],
        "version": section.version,
        "appliedOffset": section.applied[0],
        "changedAtMs": section.applied[1],
        "heldCount": section.held,
        "soldCount": section.sold,
        "blockedCount": section.blocked,
        "free": section.bitmap(None),
    }
    append(log.changelog, partition, b"s" + key, stored("SectionState", state))
    layout = {field: section.opened[field] for field in LAYOUT_FIELDS}
    layout["openedBy"] = section.opened["request"]
    append(log.changelog, partition, b"l" + key, stored("SectionLayout", layout))
    if section.ever_blocked:
        blocked = {"blocked": section.bitmap("")}
        append(log.changelog, partition, b"b" + key, stored("BlockedSeats", blocked))


def status_of(section: Section) -> Fields:
    """Return a section's status as it is now."""
    timestamp, version, free, held, largest = section.history[-1]
    return {
        "eventId": section.opened["request"]["eventId"],
        "section": section.opened["request"]["section"],
        "availableCount": free,
        "timestamp": timestamp,
        "version": version,
        "heldCount": held,
        "largestBlock": largest,
    }


def append(
    records: Records,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> None:
    """Append a record as a transaction would, now and then after its marker."""
    log = records[partition]
    offset = log[-1].offset + 1 + len(log) % 2 if log else 0
    log.append(LogRecord(offset, START_MS, key, value, headers))


def name_in_state(key: bytes) -> str:
    """Return the name of the record behind a changelog key."""
    return STATE_BY_TAG[key[:1]]
