"""Only what is a section's or a reservation's own is taken from what others write to as well."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from support.logs.audit_logs import ID_BY_NAME, sound_log

from schemas.topics import RESERVATION_OUTCOMES, SEATS_CHANGELOG, SECTION_COMMANDS, Topic
from scripts.auditing.log import Log
from scripts.auditing.topics import CannotRead, LogRecord
from scripts.brokers.addresses import Servers
from scripts.history import reading
from state.domain.keys import partition_of, section_key

WHERE = Servers("localhost:1", "http://localhost:1")
PARTITIONS = 3
LOG = sound_log(1, 300, PARTITIONS)


def topics(log: Log) -> dict[str, Any]:
    return {
        SECTION_COMMANDS.name: log.commands,
        RESERVATION_OUTCOMES.name: log.outcomes,
        SEATS_CHANGELOG.name: log.changelog,
    }


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    lying = topics(LOG)

    def lines_of(
        _: Servers,
        topic: Topic,
        is_wanted: Callable[[LogRecord], bool],
        partitions: Iterable[int] | None = None,
    ) -> list[tuple[int, LogRecord]]:
        chosen = range(PARTITIONS) if partitions is None else partitions
        records = [(part, one) for part in chosen for one in lying[topic.name][part]]
        return [one for one in records if is_wanted(one[1])]

    monkeypatch.setattr(reading, "each_line", lines_of)
    monkeypatch.setattr(reading, "spans_of", lambda *_, **__: dict.fromkeys(range(PARTITIONS)))
    writers = {number: (name, None) for name, number in ID_BY_NAME.items()}
    monkeypatch.setattr(reading, "writers_of", lambda *_: (writers, []))


def sections() -> list[tuple[int, str]]:
    keys = {
        record.key[1:].decode()
        for records in LOG.changelog.values()
        for record in records
        if record.key and record.key[:1] == b"s"
    }
    return [(int(event), name) for event, _, name in (key.partition("-") for key in sorted(keys))]


def test_a_section_has_its_own_outcomes_and_no_others() -> None:
    assert sections()
    for event_id, name in sections():
        found = reading.section_log(WHERE, event_id, name)
        told = [event.fields["request"] for event in found.timeline.events]
        assert {(one["eventId"], one["section"]) for one in told} <= {(event_id, name)}
        every = [
            event.fields["request"]
            for part, event in reading.outcomes(WHERE, [])
            # A command that went astray was refused on another partition.
            if part == partition_of(section_key(event_id, name), PARTITIONS)
            and (event.fields["request"]["eventId"], event.fields["request"]["section"])
            == (event_id, name)
        ]
        assert told == every


def test_a_section_that_was_never_opened_is_no_empty_one() -> None:
    with pytest.raises(CannotRead, match="has no section 77-NOWHERE"):
        reading.section_log(WHERE, 77, "NOWHERE")


def test_commands_of_a_reservation_are_its_own_whatever_names_it_beside() -> None:
    every = reading.lines_of(WHERE, SECTION_COMMANDS, lambda _: True)
    ids = [
        fields["request"]["reservationId"]
        for *_, name, fields in reading.decoded(WHERE, SECTION_COMMANDS, every)
        if name != "Tick"
    ]
    assert ids
    # Each reads the whole log: a tenth of them shows it.
    for one in sorted(set(ids))[::10]:
        found = reading.commands(WHERE, one)
        assert len(found) == ids.count(one)
        assert all(fields["request"]["reservationId"] == one for *_, fields in found)


def test_bytes_that_are_no_record_are_left_out() -> None:
    records = [(0, LogRecord(0, 1, b"k", value)) for value in (None, b"", b"\0\0\0\0\1junk")]
    assert list(reading.decoded(WHERE, SECTION_COMMANDS, records)) == []
