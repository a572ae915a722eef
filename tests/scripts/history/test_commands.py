"""What an operator types to look at a section, from the words to the exit code."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from support.logs.audit_logs import ID_BY_NAME, identity, sound_log, value_of

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    Topic,
)
from scripts.auditing.topics import CannotRead, LogRecord
from scripts.brokers.addresses import Servers
from scripts.history import commands, reading, rules
from scripts.history.rules import STRATEGIES
from scripts.program.main import run

PARTITIONS = 3
LOG = sound_log(2, 300, PARTITIONS)
LYING = {
    SECTION_COMMANDS.name: LOG.commands,
    RESERVATION_OUTCOMES.name: LOG.outcomes,
    SEATS_CHANGELOG.name: LOG.changelog,
    DEAD_LETTER_QUEUE.name: LOG.dead_letters,
}


def lines_of(
    _: Servers,
    topic: Topic,
    is_wanted: Callable[[LogRecord], bool],
    partitions: Iterable[int] | None = None,
) -> list[tuple[int, LogRecord]]:
    chosen = range(PARTITIONS) if partitions is None else partitions
    records = [(part, one) for part in chosen for one in LYING[topic.name][part]]
    return [one for one in records if is_wanted(one[1])]


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def spans(*_: object, **__: object) -> dict[int, tuple[int, int]]:
        return dict.fromkeys(range(PARTITIONS), (0, 10**9))

    writers = {number: (name, None) for name, number in ID_BY_NAME.items()}
    monkeypatch.setattr(commands, "servers", lambda: Servers("localhost:1", "http://localhost:1"))
    monkeypatch.setattr(commands, "spans_of", spans)
    monkeypatch.setattr(reading, "spans_of", spans)
    monkeypatch.setattr(rules, "spans_of", spans)
    monkeypatch.setattr(reading, "each_line", lines_of)
    monkeypatch.setattr(reading, "writers_of", lambda *_: (writers, []))


def said(*words: str, code: int, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(words) == code
    return capsys.readouterr().out


@pytest.fixture
def section() -> tuple[str, str]:
    key = next(
        record.key
        for records in LOG.changelog.values()
        for record in records
        if record.key and record.key[:1] == b"s"
    )
    event, _, name = key[1:].decode().partition("-")
    return event, name


def held() -> list[tuple[str, dict[str, Any]]]:
    every = lines_of(Servers("", ""), RESERVATION_OUTCOMES, lambda _: True)
    return [
        (name, fields)
        for *_, name, fields in reading.decoded(Servers("", ""), RESERVATION_OUTCOMES, every)
    ]


def test_u9_a_section_is_shown_now_and_at_an_offset_and_a_time(
    section: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    now = said("inspect", "section", *section, code=0, capsys=capsys)
    assert "now: version" in now
    seats = [line for line in now.splitlines() if " seats: " in line]
    at = ("inspect", "section", *section, "--at")
    assert seats[0] in said(*at, "9999999999", code=0, capsys=capsys)
    for moment in ("0", "2001-01-01"):
        assert " seats: " in said(*at, moment, code=0, capsys=capsys)
    told = json.loads(said("inspect", "section", *section, "--json", code=0, capsys=capsys))
    assert f"{sum(told['counts'].values())} seats" in now


@pytest.mark.parametrize("words", [["77", "NOWHERE"], ["x", "A"], ["9", "A", "--at", "soon"]])
def test_a_section_that_is_not_there_ends_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", "section", *words]) == 2
    assert capsys.readouterr().err


def test_u9_every_outcome_of_a_reservation_is_explained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of each kind of outcome one, and a refusal with its reason."""
    by_name = {name: fields for name, fields in held() if name != "SectionOpened"}
    assert {"SeatsHeld", "ReservationRejected"} <= by_name.keys()
    for name, fields in by_name.items():
        one = fields["request"]["reservationId"]
        out = said("explain", "reservation", one, code=0, capsys=capsys)
        assert "asked: " in out
        assert name in out
        if fields.get("reason"):
            assert f"    {fields['reason']}: " in out


def test_u9_a_hold_is_told_with_its_strategy_and_the_version_of_the_rules(
    section: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    one = next(
        fields["request"]["reservationId"] for name, fields in held() if name == "SeatsHeld"
    )
    out = said("explain", "reservation", one, code=0, capsys=capsys)
    asked = re.search(r"asked: (Hold\w+)", out)
    assert asked
    [told] = [line for line in out.splitlines() if "  SeatsHeld  " in line]
    assert re.search(rf"by {STRATEGIES[asked[1]]}, rules [12]$", told)
    assert "; rules " in said("explain", "seat", *section, "@0", "@0", code=0, capsys=capsys) or (
        "no outcome" in said("explain", "seat", *section, "@0", "@0", code=0, capsys=capsys)
    )


def test_what_the_log_has_nothing_of_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    for group in ("explain", "inspect"):
        out = said(group, "reservation", "nobody", code=1, capsys=capsys)
        assert "nothing of this" in out or "no section has" in out


def test_a_reservation_is_shown_as_it_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    one = next(
        fields["request"]["reservationId"] for name, fields in held() if name == "SeatsHeld"
    )
    out = said("inspect", "reservation", one, "--json", code=0, capsys=capsys)
    [stored] = json.loads(out).values()
    assert stored["request"]["reservationId"] == one
    assert '"status"' in said("inspect", "reservation", one, code=0, capsys=capsys)


def test_u9_a_seat_is_explained_by_its_labels(
    section: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = said("explain", "seat", *section, "@0", "@0", code=0, capsys=capsys)
    assert "before: " in out or "no outcome" in out
    assert run(["explain", "seat", *section, "@99", "@0"]) == 2


def test_u9_what_is_explained_can_be_had_as_json(
    section: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    one = next(fields["request"]["reservationId"] for _, fields in held())
    for words in (("explain", "seat", *section, "@0", "@0"), ("explain", "reservation", one)):
        lines = said(*words, code=0, capsys=capsys).splitlines()
        told = json.loads(said(*words, "--json", code=0, capsys=capsys))
        assert told == {"lines": lines, "unread": ""}
    nobody = said("explain", "reservation", "nobody", "--json", code=1, capsys=capsys)
    assert json.loads(nobody)["lines"] == []


def test_the_store_is_counted_by_partition(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(said("inspect", "store", "--json", code=0, capsys=capsys))
    assert [one["partition"] for one in told] == list(range(PARTITIONS))
    assert sum(one["Reservation"] for one in told) > 0
    assert len(said("inspect", "store", code=0, capsys=capsys).splitlines()) == PARTITIONS


def test_records_that_nobody_here_can_read_are_not_left_out_in_silence(
    section: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A registry of another cluster knows none of the ids: then the log has not "nothing"."""
    one = next(fields["request"]["reservationId"] for _, fields in held())
    monkeypatch.setattr(reading, "writers_of", lambda *_: ({}, []))
    out = said("explain", "reservation", one, code=1, capsys=capsys)
    assert "cannot be read, the first at section-commands-" in out
    assert "has nothing" not in out
    for words in (("inspect", "section", *section), ("explain", "seat", *section, "@0", "@0")):
        out = said(*words, code=0, capsys=capsys)
        assert "cannot be read, the first at reservation-outcomes-" in out
    told = json.loads(said("inspect", "section", *section, "--json", code=0, capsys=capsys))
    assert "cannot be read" in told["unread"]


def test_a_state_whose_newest_value_cannot_be_read_is_not_shown_as_the_one_before(
    section: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = b"s" + "-".join(section).encode()
    partition = next(
        part for part, records in LOG.changelog.items() if any(one.key == key for one in records)
    )
    torn = LogRecord(10**6, 1, key, b"\2torn")
    changelog = LOG.changelog | {partition: [*LOG.changelog[partition], torn]}
    monkeypatch.setitem(LYING, SEATS_CHANGELOG.name, changelog)
    assert run(["inspect", "section", *section]) == 2
    assert f"seats-changelog-{partition}, offset 1000000" in capsys.readouterr().err


def test_a_stranger_steers_no_terminal(
    section: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    escaping = identity("r-esc", "ann\x1b[2J", section[1], int(section[0]))
    value = value_of("ReleaseReservation", {"request": escaping, "epoch": 1})
    lying = LOG.commands | {0: [*LOG.commands[0], LogRecord(10**6, 1, b"k", value)]}
    monkeypatch.setitem(LYING, SECTION_COMMANDS.name, lying)
    out = said("explain", "reservation", "r-esc", code=0, capsys=capsys)
    assert "asked: ReleaseReservation by ann\\x1b[2J" in out


def test_a_log_that_cannot_be_read_is_no_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise CannotRead("no broker")

    monkeypatch.setattr(reading, "each_line", broken)
    for words in (
        ["inspect", "section", "1", "A"],
        ["inspect", "reservation", "r"],
        ["inspect", "store"],
        ["explain", "seat", "1", "A", "1", "1"],
        ["explain", "reservation", "r"],
    ):
        assert run(words) == 2
    assert capsys.readouterr().err.count("no broker") == 5
