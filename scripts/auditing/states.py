"""State as it lies in the changelog, compared with what the oracle says it must be."""

import struct
from collections.abc import Iterable
from typing import Any

import google_crc32c

from schemas.topics import SEATS_CHANGELOG
from scripts.auditing.log import LogRecord
from scripts.auditing.model import Oracle, partition_of
from scripts.auditing.report import Notes, differences
from scripts.auditing.schemas import Avro, Unreadable

# Around each changelog value: format 2 (1 byte), order (5), due time (6), and behind it the
# checksum (4) over changelog, partition and all before. Format 1: due time (8), and a checksum
# without a place.
HEADER_BYTES_BY_FORMAT = {1: 9, 2: 12}
DUE_AT_BY_FORMAT = {1: 1, 2: 6}
CHECKSUM_BYTES = 4
# What workers say of themselves in the changelog is no state.
RESERVED = b"\xff"
DELETION_HEADER = "deletion"
STATE_BY_TAG = {
    b"s": "SectionState",
    b"l": "SectionLayout",
    b"b": "BlockedSeats",
    b"r": "Reservation",
    b"p": "Progress",
}
LAYOUT_FIELDS = (
    "layoutVersion",
    "rows",
    "blocked",
    "orphanRule",
    "maxSeatsPerHold",
    "holdMs",
    "maxHoldMs",
    "saleStartsMs",
    "saleEndsMs",
)


class StateAudit:
    """The changelog of one partition.

    last:           value by key, of what the topic ends with; records of strangers left out.
    section_states: each section state on the way, with its fields.
    """

    def __init__(self, avro: Avro, notes: Notes, partitions: int) -> None:
        self.avro = avro
        self.order = 0
        self.notes = notes
        self.partitions = partitions
        self.last: dict[bytes, bytes] = {}
        self.section_states: list[tuple[LogRecord, dict[str, Any]]] = []
        # Of keys whose newest value cannot be read: its offset, and why.
        self._unreadable: dict[bytes, tuple[int, str]] = {}

    def fold(self, records: Iterable[LogRecord]) -> None:
        """Keep the last value of each key; check each value on the way.

        Only the last value of a key is the state: there one that cannot be read is a violation,
        and a remark where a newer one follows, for what is restored lacks nothing then.
        """
        last = self.last
        highest: dict[bytes, int] = {}
        for record in records:
            key, value = record.key or b"", record.value
            if key[:1] == RESERVED:
                continue
            why = self.why_foreign(key) or self.why_not_ours(record)
            if why:
                self.notes.foreign(SEATS_CHANGELOG.name, record.offset, why)
                continue
            if value is None:
                last.pop(key, None)
                self._replaced(key)
                continue
            try:
                check_envelope(value, self.notes.partition)
            except Unreadable as error:
                self._replaced(key)
                self._unreadable[key] = record.offset, str(error)
                continue
            if key[:1] not in {b"s", b"p"}:
                last[key] = value
                self._replaced(key)
                continue
            try:
                fields = self.state_of(key, value)
            except Unreadable as error:
                # The checksum is right: a restore takes it, whoever wrote it.
                self._replaced(key)
                self._unreadable[key] = record.offset, str(error)
                continue
            last[key] = value
            self._replaced(key)
            version = fields["version" if key[:1] == b"s" else "nextOffset"]
            if version < highest.get(key, version):
                self.notes.bad(
                    "I14", "stale restore", record.offset, f"{key!r} goes back to {version}"
                )
            highest[key] = version
            if key[:1] == b"s":
                self.section_states.append((record, fields))
        for key, (offset, why) in self._unreadable.items():
            self.notes.bad("I14", "corrupt value", offset, f"{key!r}: {why}")

    def _replaced(self, key: bytes) -> None:
        """Note that a newer value, or a deletion of ours, lies behind what could not be read."""
        if key in self._unreadable:
            offset, why = self._unreadable.pop(key)
            self.notes.superseded(SEATS_CHANGELOG.name, offset, f"{key!r}: {why}")

    def why_foreign(self, key: bytes) -> str:
        """Say why a key cannot be one of this partition's stores; empty where it can."""
        tag, rest = key[:1], key[1:]
        if tag not in STATE_BY_TAG or (tag == b"p") != (not rest):
            return f"{key[:40]!r} is no key of ours"
        if (
            tag in {b"s", b"l", b"b"}
            and partition_of(rest, self.partitions) != self.notes.partition
        ):
            return f"{key[:40]!r} belongs to another partition"
        return ""

    def why_not_ours(self, record: LogRecord) -> str:
        """Say why workers leave a record out that may be intact; empty where they do not.

        A value of another partition; what is older than what lies before it; and, once values
        say where they belong, a deletion that does not.
        """
        key, value, here = record.key or b"", record.value, self.notes.partition
        if value is None:
            sealed = dict(record.headers).get(DELETION_HEADER) or b""
            if not self.order or is_sealed(sealed, here, key):
                return ""
            return f"{key[:40]!r} was deleted by a stranger"
        if not is_sealed(value, here):
            places = range(self.partitions)
            other = next((place for place in places if is_sealed(value, place)), None)
            return "" if other is None else f"{key[:40]!r} is a value of partition {other}"
        order = int.from_bytes(value[1:6], "big") if value[0] == 2 else 0
        if order < self.order:
            return f"{key[:40]!r} is a copy of an older value"
        self.order = order
        return ""

    def progress(self) -> dict[str, Any]:
        """Return how far the state claims to be; raises Unreadable."""
        value = self.last.get(b"p")
        return {"nextOffset": 0} if value is None else self.state_of(b"p", value)

    def state_of(self, key: bytes, value: bytes) -> dict[str, Any]:
        """Return the fields of a state record, its due time among them."""
        name = STATE_BY_TAG.get(key[:1])
        if name is None:
            raise Unreadable("a store that nobody knows")
        body, due_ms = opened(value)
        return self.avro.decode(name, body) | {"due_ms": due_ms}

    def compare(self, oracle: Oracle) -> None:
        """Compare the last values, and each section state on the way, with the oracle's."""
        state, expected = self.last, self.expected(oracle)
        for key in expected.keys() | state.keys():
            value, want = state.get(key), expected.get(key)
            offset = oracle.next_offset - 1
            is_reservation = key[:1] == b"r"
            where = {"reservation_id": key[1:].decode(errors="replace") if is_reservation else ""}
            if value is None:
                self.notes.bad("I13", "lost write", offset, f"changelog lacks {key!r}", **where)
                continue
            if want is None:
                why = self.why_not_here(key, value)
                if why:
                    self.notes.foreign(SEATS_CHANGELOG.name, offset, why)
                else:
                    what = f"changelog has {key!r}"
                    self.notes.bad("I14", "phantom state", offset, what, **where)
                continue
            due_ms = want.pop("due_ms")
            body = self.avro.encode(STATE_BY_TAG[key[:1]], want)
            if opened(value) == (body, due_ms):
                continue
            want["due_ms"] = due_ms
            try:
                difference = differences("", want, "", self.state_of(key, value))
            except Unreadable as error:
                difference = str(error)
            self.notes.bad("I14", "wrong state", offset, f"{key!r}: {difference}", **where)
        for record, fields in self.section_states:
            section_of = oracle.sections.get((fields["eventId"], fields["section"]))
            if section_of is None:
                continue
            counts = (
                fields["changedAtMs"],
                fields["version"],
                free_bits(fields["free"]),
                fields["heldCount"],
            )
            found = section_of.history_by_offset.get(fields["appliedOffset"])
            if found is None or found[:4] != counts:
                self.notes.bad(
                    "I13",
                    "wrong state",
                    fields["appliedOffset"],
                    f"section state at changelog offset {record.offset}: {counts} for {found}",
                    section=fields["section"],
                )

    def why_not_here(self, key: bytes, value: bytes) -> str:
        """Say why a state that nobody expects cannot be of this partition; empty where it can."""
        try:
            fields = self.state_of(key, value)
        except Unreadable as error:
            return f"{key[:40]!r}: {error}"
        if key[:1] != b"r":
            return ""
        request = fields["request"]
        home = f"{request['eventId']}-{request['section']}".encode()
        if partition_of(home, self.partitions) == self.notes.partition:
            return ""
        return f"{key[:40]!r} belongs to another partition"

    def expected(self, oracle: Oracle) -> dict[bytes, dict[str, Any]]:
        """Return what the changelog must say, by key."""
        expected: dict[bytes, dict[str, Any]] = {}
        if oracle.next_offset:
            expected[b"p"] = {
                "nextOffset": oracle.next_offset,
                "logTimeMs": oracle.log_time_ms,
                "timerMs": oracle.timer_ms,
                # Which version of the rules decided is the worker's to say.
                "logicVersion": self.progress().get("logicVersion", 0),
                "due_ms": 0,
            }
        for (event_id, name), section in oracle.sections.items():
            key = f"{event_id}-{name}".encode()
            expected[b"s" + key] = {
                "eventId": event_id,
                "section": name,
                "layoutVersion": section.opened["layoutVersion"],
                "version": section.version,
                "appliedOffset": section.applied[0],
                "changedAtMs": section.applied[1],
                "heldCount": section.held,
                "soldCount": section.sold,
                "blockedCount": section.blocked,
                "free": section.bitmap(None),
                "due_ms": 0,
            }
            expected[b"l" + key] = {field: section.opened[field] for field in LAYOUT_FIELDS} | {
                "openedBy": section.opened["request"],
                "due_ms": 0,
            }
            if section.ever_blocked:
                expected[b"b" + key] = {"blocked": section.bitmap(""), "due_ms": 0}
        for reservation_id, held in oracle.reservations.items():
            due_ms = held.deadline_ms if held.record["status"] == "HELD" else 0
            expected[b"r" + reservation_id.encode()] = held.record | {"due_ms": due_ms}
        return expected


def check_envelope(value: bytes, partition: int) -> None:
    """Raise Unreadable unless a changelog value is as it was written for this partition."""
    body, checksum = value[:-CHECKSUM_BYTES], value[-CHECKSUM_BYTES:]
    header_bytes = HEADER_BYTES_BY_FORMAT.get(value[0]) if value else None
    if header_bytes is None:
        raise Unreadable(f"format {value[:1].hex()}")
    place = b"" if value[0] == 1 else SEATS_CHANGELOG.name.encode() + struct.pack(">I", partition)
    expected = struct.pack(">I", google_crc32c.value(place + body))
    if len(body) < header_bytes or expected != checksum:
        raise Unreadable("checksum mismatch")


def is_sealed(value: bytes, partition: int, key: bytes | None = None) -> bool:
    """Say whether a value is intact and of this partition, and holds `key` where that is given."""
    try:
        check_envelope(value, partition)
    except Unreadable:
        return False
    return key is None or opened(value)[0] == key


def opened(value: bytes) -> tuple[bytes, int]:
    """Return the record and the due time in a changelog value that was checked."""
    begin = HEADER_BYTES_BY_FORMAT[value[0]]
    due_ms = int.from_bytes(value[DUE_AT_BY_FORMAT[value[0]] : begin], "big")
    return value[begin:-CHECKSUM_BYTES], due_ms


def free_bits(bitmap: bytes) -> int:
    """Count the ones."""
    return int.from_bytes(bitmap, "big").bit_count()
