"""I13, I14: the state ends as the oracle's does, and every section's was so on the way."""

from collections.abc import Iterator
from typing import Any

from schemas.topics import SEATS_CHANGELOG
from scripts.auditing.facts import Facts
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.oracle.model import Oracle
from scripts.auditing.report import Notes, differences
from scripts.auditing.schemas import Unreadable
from scripts.auditing.stored import STATE_BY_TAG, opened

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
    "currency",
    "prices",
    "paymentMs",
)

State = tuple[bytes, dict[str, Any], int]  # key, fields of the record, due time in Unix ms


def check(facts: Facts, notes: Notes) -> None:
    """Compare the last values, and each section state on the way, with the oracle's."""
    unexplained = dict(facts.stored.last)
    for key, want, due_ms in expected_states(facts):
        compare(facts, notes, key, unexplained.pop(key, None), want, due_ms)
    for key, value in unexplained.items():
        find_phantom(facts, notes, key, value)
    compare_sections_on_the_way(facts, notes)


def compare(
    facts: Facts, notes: Notes, key: bytes, value: bytes | None, want: dict[str, Any], due_ms: int
) -> None:
    """Note a value that is missing, or is not what it must be."""
    offset = facts.oracle.next_offset - 1
    if value is None:
        notes.bad("I13", "lost write", offset, f"changelog lacks {key!r}", **whose(key))
        return
    wanted = facts.stored.avro.encode(STATE_BY_TAG[key[:1]], want), due_ms
    # The other form of nearly every state would be made for nothing.
    if wanted == opened(value) or wanted == facts.stored.present_form(key, value):
        return
    try:
        found = facts.stored.state_of(key, value)
        difference = differences("", want | {"due_ms": due_ms}, "", found)
    except Unreadable as error:
        difference = str(error)
    notes.bad("I14", "wrong state", offset, f"{key!r}: {difference}", **whose(key))


def find_phantom(facts: Facts, notes: Notes, key: bytes, value: bytes) -> None:
    """Note a value that nobody expects, or count it as a stranger's."""
    offset = facts.oracle.next_offset - 1
    why = why_not_here(facts, key, value)
    if why:
        notes.foreign(SEATS_CHANGELOG.name, offset, why)
    else:
        notes.bad("I14", "phantom state", offset, f"changelog has {key!r}", **whose(key))


def whose(key: bytes) -> dict[str, str]:
    """Return the reservation of a key, as a violation names it."""
    return {"reservation_id": key[1:].decode(errors="replace") if key[:1] == b"r" else ""}


def why_not_here(facts: Facts, key: bytes, value: bytes) -> str:
    """Say why a state that nobody expects cannot be of this partition; empty where it can."""
    try:
        fields = facts.stored.state_of(key, value)
    except Unreadable as error:
        return f"{key[:40]!r}: {error}"
    if key[:1] != b"r":
        return ""
    request = fields["request"]
    home = f"{request['eventId']}-{request['section']}".encode()
    if partition_of(home, facts.log.partitions) == facts.partition:
        return ""
    return f"{key[:40]!r} belongs to another partition"


def compare_sections_on_the_way(facts: Facts, notes: Notes) -> None:
    """Note every section state that its section never had after the command it names."""
    for record, fields in facts.stored.section_states:
        section = facts.oracle.sections.get((fields["eventId"], fields["section"]))
        if section is None:
            continue
        counts = (
            fields["changedAtMs"],
            fields["version"],
            free_bits(fields["free"]),
            fields["heldCount"],
        )
        found = section.history_by_offset.get(fields["appliedOffset"])
        if found is None or found[:4] != counts:
            notes.bad(
                "I13",
                "wrong state",
                fields["appliedOffset"],
                f"section state at changelog offset {record.offset}: {counts} for {found}",
                section=fields["section"],
            )


def expected_states(facts: Facts) -> Iterator[State]:
    """Yield what the changelog must end with."""
    oracle = facts.oracle
    # Reservations first: of those, an excerpt can show what happened to the first that is wrong.
    for reservation_id, held in oracle.reservations.items():
        due_ms = held.deadline_ms if held.record["status"] == "HELD" else 0
        yield b"r" + reservation_id.encode(), held.record, due_ms
    yield from section_states(oracle)
    if oracle.next_offset:
        progress = {
            "nextOffset": oracle.next_offset,
            "logTimeMs": oracle.time.ms,
            "timerMs": oracle.time.timer_ms,
            # Which version of the rules decided is the worker's to say.
            "logicVersion": facts.stored.progress().get("logicVersion", 0),
        }
        yield b"p", progress, 0


def section_states(oracle: Oracle) -> Iterator[State]:
    """Yield state and layout of each section, and its blocked seats if it ever had any."""
    for (event_id, name), section in oracle.sections.items():
        key = f"{event_id}-{name}".encode()
        state = {
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
        }
        yield b"s" + key, state, 0
        layout = {field: section.opened[field] for field in LAYOUT_FIELDS}
        yield b"l" + key, layout | {"openedBy": section.opened["request"]}, 0
        if section.ever_blocked:
            yield b"b" + key, {"blocked": section.bitmap("")}, 0


def free_bits(bitmap: bytes) -> int:
    """Count the ones."""
    return int.from_bytes(bitmap, "big").bit_count()
