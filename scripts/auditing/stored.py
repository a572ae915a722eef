"""State as it lies in the changelog: the last value of each key, and how far it claims to be."""

import re
import struct
from collections.abc import Iterable
from typing import Any

import google_crc32c

from schemas.topics import SEATS_CHANGELOG
from scripts.auditing.log import Log
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.report import Notes
from scripts.auditing.schemas import Avro, Unreadable
from scripts.auditing.topics import LogRecord

# Around each changelog value: format 2 (1 byte), order (5), due time (6), and behind it the
# checksum (4) over changelog, partition and all before. Format 1: due time (8), and a checksum
# without a place.
HEADER_BYTES_BY_FORMAT = {1: 9, 2: 12}
DUE_AT_BY_FORMAT = {1: 1, 2: 6}
CHECKSUM_BYTES = 4
# What workers say of themselves in the changelog is no state.
OF_WORKERS = frozenset((b"\xffwriter", b"\xfftakeovers", b"\xffskipped"))
DELETION_HEADER = "deletion"
STATE_BY_TAG = {
    b"s": "SectionState",
    b"l": "SectionLayout",
    b"b": "BlockedSeats",
    b"r": "Reservation",
    b"p": "Progress",
}
KEY = re.compile(rb"[slb](?:0|[1-9][0-9]{0,18})-[A-Z0-9-]{1,32}|r[A-Za-z0-9_-]{1,64}|p")
"""What may be a key of ours; under any other nothing is anybody's value."""


class Stored:
    """The changelog of one partition.

    last:           value by key, of what the topic ends with; records of strangers left out.
    section_states: each section state on the way, with its fields.
    written_back:   offset of each value that is older than one before it, and what is told of it.
    unreadable:     of keys whose newest value cannot be read: its offset, and why.
    """

    def __init__(self, avro: Avro, notes: Notes, partitions: int) -> None:
        self.avro = avro
        self.notes = notes
        self.partitions = partitions
        self.last: dict[bytes, bytes] = {}
        self.section_states: list[tuple[LogRecord, dict[str, Any]]] = []
        self.written_back: list[tuple[int, str]] = []
        self.unreadable: dict[bytes, tuple[int, str]] = {}
        self._order = 0
        self._intact: bytes | None = None
        self._highest: dict[bytes, int] = {}

    def fold(self, records: Iterable[LogRecord]) -> None:
        """Keep the last value of each key; check each value on the way.

        Only the last value of a key is the state: there one that cannot be read is a violation,
        and a remark where a newer one follows, for what is restored lacks nothing then.
        """
        for record in records:
            key = record.key or b""
            if key in OF_WORKERS:
                continue
            why = self.why_foreign(key) or self.why_not_ours(record)
            if why:
                self.notes.foreign(SEATS_CHANGELOG.name, record.offset, why)
                continue
            self._replaced(key)
            if record.value is None:
                self.last.pop(key, None)
                continue
            try:
                self._keep(record, key, record.value)
            except Unreadable as error:
                # Its checksum may be right: a restore takes it then, whoever wrote it.
                self.unreadable[key] = record.offset, str(error)

    def _keep(self, record: LogRecord, key: bytes, value: bytes) -> None:
        """Keep a value as the last of its key; raises Unreadable."""
        if value is not self._intact:
            check_envelope(value, self.notes.partition)
        tag = key[:1]
        # Of these, each value on the way is looked at; of all others, the last.
        fields = self.state_of(key, value) if tag in {b"s", b"p"} else None
        self.last[key] = value
        if fields is None:
            return
        version = fields["version" if tag == b"s" else "nextOffset"]
        if version < self._highest.get(key, version):
            self.written_back.append((record.offset, f"{key!r} goes back to {version}"))
        self._highest[key] = version
        if tag == b"s":
            self.section_states.append((record, fields))

    def _replaced(self, key: bytes) -> None:
        """Note that a newer value, or a deletion of ours, lies behind what could not be read."""
        if key in self.unreadable:
            offset, why = self.unreadable.pop(key)
            self.notes.superseded(SEATS_CHANGELOG.name, offset, f"{key!r}: {why}")

    def why_foreign(self, key: bytes) -> str:
        """Say why a key cannot be one of this partition's stores; empty where it can."""
        tag, rest = key[:1], key[1:]
        if not KEY.fullmatch(key):
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
            if not self._order or is_sealed(sealed, here, key):
                return ""
            return f"{key[:40]!r} was deleted by a stranger"
        if not is_sealed(value, here):
            places = range(self.partitions)
            other = next((place for place in places if is_sealed(value, place)), None)
            return "" if other is None else f"{key[:40]!r} is a value of partition {other}"
        self._intact = value
        order = int.from_bytes(value[1:6], "big") if value[0] == 2 else 0
        if order < self._order:
            return f"{key[:40]!r} is a copy of an older value"
        self._order = order
        return ""

    def progress(self) -> dict[str, Any]:
        """Return how far the state claims to be; raises Unreadable."""
        value = self.last.get(b"p")
        return {"nextOffset": 0} if value is None else self.state_of(b"p", value)

    @property
    def next_offset(self) -> int:
        """Return the offset of the first command that the state does not have."""
        return int(self.progress()["nextOffset"])

    def state_of(self, key: bytes, value: bytes) -> dict[str, Any]:
        """Return the fields of a state record, its due time among them."""
        name = STATE_BY_TAG.get(key[:1])
        if name is None:
            raise Unreadable("a store that nobody knows")
        body, due_ms = opened(value)
        return self.avro.decode_stored(name, body) | {"due_ms": due_ms}

    def present_form(self, key: bytes, value: bytes) -> tuple[bytes, int] | None:
        """Return record and due time as workers write them now; None where they cannot be read.

        A value stays as an earlier release wrote it until something happens to it.
        """
        name = STATE_BY_TAG[key[:1]]
        body, due_ms = opened(value)
        try:
            former = self.avro.decode_former(name, body)
        except Unreadable:
            return None
        return self.avro.encode(name, former), due_ms


def read_changelog(log: Log, notes: Notes) -> Stored:
    """Return the state of the partition of these notes."""
    stored = Stored(log.wire.avro, notes, log.partitions)
    stored.fold(log.changelog.get(notes.partition, []))
    return stored


def check_envelope(value: bytes, partition: int, changelog: str = SEATS_CHANGELOG.name) -> None:
    """Raise Unreadable unless a changelog value is as it was written for this partition."""
    body, checksum = value[:-CHECKSUM_BYTES], value[-CHECKSUM_BYTES:]
    header_bytes = HEADER_BYTES_BY_FORMAT.get(value[0]) if value else None
    if header_bytes is None:
        raise Unreadable(f"format {value[:1].hex()}")
    place = b"" if value[0] == 1 else changelog.encode() + struct.pack(">I", partition)
    expected = struct.pack(">I", google_crc32c.value(place + body))
    if len(body) < header_bytes or expected != checksum:
        raise Unreadable("checksum mismatch")


def is_sealed(
    value: bytes,
    partition: int,
    key: bytes | None = None,
    changelog: str = SEATS_CHANGELOG.name,
) -> bool:
    """Say whether a value is intact and of this partition, and holds `key` where that is given."""
    try:
        check_envelope(value, partition, changelog)
    except Unreadable:
        return False
    return key is None or opened(value)[0] == key


def opened(value: bytes) -> tuple[bytes, int]:
    """Return the record and the due time in a changelog value that was checked."""
    begin = HEADER_BYTES_BY_FORMAT[value[0]]
    due_ms = int.from_bytes(value[DUE_AT_BY_FORMAT[value[0]] : begin], "big")
    return value[begin:-CHECKSUM_BYTES], due_ms
