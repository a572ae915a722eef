"""`seatstream inspect` and `seatstream explain`: they read, commit nothing and disturb nobody."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import click

from schemas.topics import DEAD_LETTER_QUEUE, SEATS_CHANGELOG
from scripts.auditing.schemas import Unreadable
from scripts.auditing.stored import STATE_BY_TAG
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import NotUp, Servers
from scripts.brokers.answering import servers
from scripts.brokers.reading import spans_of
from scripts.history import reading, rendering
from scripts.history.rules import rules_of
from scripts.history.timeline import NOW, Event, Until
from scripts.letters.letter import Letter, read_letter
from scripts.letters.rendering import fields_as_text, line_of
from scripts.letters.wanted import as_time, moment
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import command, failing, json_option, say

FAILURES = (CannotRead, NotUp, Unreadable)
_OFFSET = re.compile(r"\d{1,11}")


class At(click.ParamType):
    """A moment on the command line: the offset of a command, or a time."""

    name = "offset|time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Until:
        if isinstance(value, Until):
            return value
        if _OFFSET.fullmatch(value):
            return Until(offset=int(value))
        try:
            return Until(at_ms=moment(value, time.time_ns() // 1_000_000))
        except ValueError:
            self.fail(f"{value!r} is no offset and no time: 1234, 90m, ISO 8601", param, ctx)


def of_reservation(function: Callable[..., int]) -> click.Command:
    """Make a function the command `reservation ID`."""
    asked = click.argument("reservation_id")(json_option(failing(*FAILURES)(function)))
    return command("reservation")(asked)


@command("section")
@click.argument("event_id", type=click.IntRange(0))
@click.argument("section")
@click.option(
    "--at", type=At(), default=NOW, show_default="now", help="Command's offset, or a time."
)
@json_option
@failing(*FAILURES)
def inspect_section(*, event_id: int, section: str, at: Until, as_json: bool) -> int:
    """Show the seat map of a section, now or at an earlier moment, which is included.

    Earlier moments come from the outcomes in the log; what retention removed is taken as the
    next outcome must have found it.
    Example: seatstream inspect section 9 A --at 2026-11-27T12:00:00
    """
    found = reading.section_log(servers(), event_id, section)
    seats = found.timeline.seats(at)
    if as_json:
        told = {
            "event_id": event_id,
            "section": section,
            "applied_offset": found.state["appliedOffset"],
            "version": found.state["version"],
            "unread": found.unread,
            "counts": rendering.counts_of(seats),
            "rows": list(rendering.seat_map(found.layout, seats))[:-1],
            "holders": {
                found.layout.label(place): seat.holder
                for place, seat in seats.items()
                if seat.holder
            },
        }
        click.echo(json.dumps(told, indent=2))
        return DONE
    say(rendering.LEGEND)
    for line in rendering.seat_map(found.layout, seats):
        say(line)
    click.echo(
        f"now: version {found.state['version']}, by command {found.state['appliedOffset']}"
        f" of {as_time(found.state['changedAtMs'])}"
    )
    _warn(found.unread)
    return DONE


@of_reservation
def inspect_reservation(*, reservation_id: str, as_json: bool) -> int:
    """Show a reservation as the changelog has it, wherever it lies.

    Ends with 1 where there is none.
    Example: seatstream inspect reservation r-1234
    """
    where, key = servers(), b"r" + reservation_id.encode()
    records = reading.lines_of(where, SEATS_CHANGELOG, lambda record: record.key == key)
    count = len(spans_of(where, SEATS_CHANGELOG, committed=True))
    found = {}
    for partition in dict.fromkeys(part for part, _ in records):
        own = (record for part, record in records if part == partition)
        state = reading.folded(own, partition, count)
        reading.readable(state, partition, [key])
        if key in state.last:
            found[partition] = state.state_of(key, state.last[key])
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return DONE if found else FOUND
    for partition, fields in found.items():
        click.echo(f"{SEATS_CHANGELOG.name}-{partition}")
        for line in fields_as_text(fields):
            say(line)
    if not found:
        click.echo("no section has this reservation")
    return DONE if found else FOUND


@command("store")
@json_option
@failing(*FAILURES)
def inspect_store(*, as_json: bool) -> int:
    """Count what each partition of the state holds, and how far it claims to be.

    Example: seatstream inspect store
    """
    where = servers()
    count = len(spans_of(where, SEATS_CHANGELOG, committed=True))
    told = []
    for partition in range(count):
        state = reading.stored(where, lambda _: True, partition, count)
        kinds = Counter(STATE_BY_TAG.get(key[:1], "?") for key in state.last)
        size = sum(len(key) + len(value) for key, value in state.last.items())
        unreadable = {repr(key): why for key, (_, why) in state.unreadable.items()}
        told.append(
            {
                "partition": partition,
                "next_offset": state.next_offset,
                "bytes": size,
                **{name: kinds[name] for name in STATE_BY_TAG.values() if name != "Progress"},
                "unreadable": unreadable,
            }
        )
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        for one in told:
            say("  ".join(f"{name} {value}" for name, value in one.items() if value != {}))
    return FOUND if any(one["unreadable"] for one in told) else DONE


@command("seat")
@click.argument("event_id", type=click.IntRange(0))
@click.argument("section")
@click.argument("row")
@click.argument("seat")
@json_option
@failing(*FAILURES)
def explain_seat(*, event_id: int, section: str, row: str, seat: str, as_json: bool) -> int:
    """Say who had a seat, from when to when, by which command, strategy and version of the rules.

    ROW and SEAT are labels as on the ticket; @0 is an index.
    Example: seatstream explain seat 9 A 12 7
    """
    where = servers()
    found = reading.section_log(where, event_id, section)
    places = found.layout.find(row, seat)
    if not places:
        raise CannotRead(f"section {section} has no seat {row} {seat}; @0 names one by its index")
    offsets = {
        event.position.offset for place in places for event in found.timeline.of_seat(place)
    }
    rules = rules_of(where, found.partition, offsets)
    lines = []
    for place in places:
        lines.append(f"seat {found.layout.label(place)}")
        lines += [f"  {line}" for line in rendering.seat_history(found.timeline, place, rules)]
    _tell(lines, found.unread, as_json=as_json)
    return DONE


@of_reservation
def explain_reservation(*, reservation_id: str, as_json: bool) -> int:
    """Say what was asked for a reservation, what was decided, and why.

    Ends with 1 where the log has nothing of it.
    Example: seatstream explain reservation r-1234
    """
    where, unread = servers(), reading.Unread()
    lines = [
        ((partition, record.offset, 0), rendering.command_line(record, name, fields))
        for partition, record, name, fields in reading.commands(where, reservation_id, unread)
    ]
    told = reading.outcomes(where, [reservation_id], keeps=_is_of(reservation_id), unread=unread)
    explained = _explains(where, told)
    for partition, event in told:
        place = (partition, event.position.offset, 1)
        lines += [(place, line) for line in explained(partition, event)]
    for letter in _letters_of(where, reservation_id):
        place = (letter.partition, letter.origin.offset, 2)
        lines.append((place, f"dead letter {line_of(letter, was_sent=False).strip()}"))
    in_order = [line for _, line in sorted(lines, key=lambda one: one[0])]
    _tell(in_order, str(unread), as_json=as_json)
    if not lines and not unread.count and not as_json:
        click.echo("the log has nothing of this reservation: see retention in docs/operations.md")
    return DONE if lines else FOUND


def _tell(lines: list[str], unread: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"lines": lines, "unread": unread}, indent=2))
        return
    for line in lines:
        say(line)
    _warn(unread)


def _warn(unread: str) -> None:
    if unread:
        say(f"of the records that may belong to it {unread}")


def _is_of(reservation_id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda fields: bool(fields["request"]["reservationId"] == reservation_id)


def _explains(
    where: Servers, told: Sequence[tuple[int, Event]]
) -> Callable[[int, Event], list[str]]:
    """Return what tells an outcome in lines; each section, and each partition, is read once."""
    offsets: dict[int, set[int]] = {}
    for partition, event in told:
        offsets.setdefault(partition, set()).add(event.position.offset)
    rules = {part: rules_of(where, part, those) for part, those in offsets.items()}

    @cache
    def section(event_id: int, name: str) -> reading.SectionLog | None:
        try:
            return reading.section_log(where, event_id, name)
        except reading.NoSection:
            return None

    def explained(partition: int, event: Event) -> list[str]:
        request = event.fields["request"]
        found = section(request["eventId"], request["section"])
        if found is None:
            return [
                rendering.outcome_line(event, None, rules[partition]),
                *rendering.refusal_of(event),
            ]
        return [
            rendering.outcome_line(event, found.layout, rules[partition]),
            *rendering.reason_of(event, found.layout, found.timeline),
        ]

    return explained


def _letters_of(where: Servers, reservation_id: str) -> list[Letter]:
    word = reservation_id.encode()
    records = reading.lines_of(
        where, DEAD_LETTER_QUEUE, lambda record: word in (record.value or b"")
    )
    found = (read_letter(partition, record) for partition, record in records)
    return [one for one in found if isinstance(one, Letter)]
