"""Maps, histories and reasons as lines."""

from collections import Counter
from collections.abc import Iterator, Mapping

from scripts.auditing.oracle.seats import Place
from scripts.auditing.topics import LogRecord
from scripts.history.rules import Rules
from scripts.history.section import Layout
from scripts.history.timeline import Event, Fields, Seat, Timeline, Use, each_change, largest_run
from scripts.letters.wanted import as_time

LEGEND = "  ".join(f"{use.value} {use.name.lower()}" for use in Use) + "  | aisle"

WHY = {
    "KEY_MISMATCH": "its record lies under another key than its section's",
    "WRONG_PARTITION": "its record lies on another partition than its section's",
    "UNKNOWN_SECTION": "the section was not open at that time",
    "NOT_OPEN": "the sale had not begun",
    "SALE_CLOSED": "the sale was over",
    "BAD_COUNT": "the number of seats is none, or more than a hold may have",
    "UNKNOWN_SEAT": "the section has no such seat",
    "SEAT_TAKEN": "somebody else had the seat",
    "SOLD_OUT": "fewer seats were free than were asked for",
    "NO_ADJACENT_SEATS": "enough seats were free, but not so many beside each other",
    "ORPHAN_SEAT": "a single free seat would have been left, which the section's rule forbids",
    "CANCELLED": "it was given back before",
    "CONFLICT": "its id had been used for another request",
    "FORBIDDEN": "the reservation is another user's",
    "UNKNOWN_RESERVATION": "nobody had asked for this reservation",
    "STALE_EPOCH": "it was about a hold that was over, and another had begun",
    "NOT_HELD": "the seats were not held any more",
    "ALREADY_SOLD": "the seats were sold to this reservation",
    "EXTENSION_CAP": "the hold had lasted as long as one may",
    "REFUND_DUE": "the seats were gone when the money came",
    "INTERNAL": "no worker survived the command; see its dead letter",
    "PAYMENT_IN_PROGRESS": "its payment was under way",
    "LAPSED": "the hold's time was over",
}
"""What a reason means at the section; one that is not here speaks for itself."""


def seat_map(layout: Layout, seats: Mapping[Place, Seat]) -> Iterator[str]:
    """Yield a line for each row, with its label, and a last one with the counts."""
    width = max((len(row["label"]) for row in layout.rows), default=0)
    for number, row in enumerate(layout.rows):
        marks = "".join(
            ("|" if seat in row["aisles"] else "") + seats[number, seat].use.value
            for seat in range(row["seatCount"])
        )
        yield f"{row['label']:>{width}} {marks}"
    yield counted(layout, seats)


def counts_of(seats: Mapping[Place, Seat]) -> dict[str, int]:
    """Return how many seats are used for what."""
    found = Counter(seat.use for seat in seats.values())
    return {use.name.lower(): found[use] for use in Use}


def counted(layout: Layout, seats: Mapping[Place, Seat]) -> str:
    """Return the counts in words."""
    words = ", ".join(f"{count} {name}" for name, count in counts_of(seats).items())
    return f"{len(seats)} seats: {words}; {largest_run(seats, layout.aisles())} free in a row"


def said_of(seat: Seat) -> str:
    """Return how a seat stands, in words."""
    return f"{seat.use.name.lower()} by {seat.holder}" if seat.holder else seat.use.name.lower()


def when(event: Event) -> str:
    """Return time and place of a decision."""
    lapse = "" if event.position.is_own else f" (lapse {event.position.ordinal})"
    return f"{as_time(event.at_ms)}  command {event.position.offset}{lapse}"


def seat_history(timeline: Timeline, place: Place, rules: Rules) -> Iterator[str]:
    """Yield who had a seat, from when to when, and how it was chosen."""
    changes = list(each_change(timeline, place))
    if not changes:
        yield f"no outcome in the log is about it; it is {said_of(timeline.present[place])}"
        return
    yield f"before: {said_of(changes[0][1])}"
    for event, _, after in changes:
        request = event.fields["request"]
        cause = event.fields.get("cause", "")
        yield (
            f"{when(event)}  {said_of(after)}: {event.name}{f' {cause}' if cause else ''} of"
            f" {request['reservationId']} (user {request['userId']}, section version"
            f" {event.fields['version']}; {rules.said_of(event)})"
        )


def refusal_of(event: Event) -> Iterator[str]:
    """Yield why something was refused, also where there is no section to look at."""
    reason = event.fields.get("reason", "")
    if reason not in {"", "UNSPECIFIED"}:
        yield f"    {reason}: {WHY.get(reason, 'as it says')}"


def reason_of(event: Event, layout: Layout, timeline: Timeline) -> Iterator[str]:
    """Yield why something was refused, by what the section was at that moment."""
    yield from refusal_of(event)
    reason = event.fields.get("reason", "")
    seat = event.fields.get("seat")
    if seat is not None:
        place = seat["row"], seat["seat"]
        if place in timeline.present:
            then = timeline.just_before(event, place)
            yield f"    seat {layout.label(place)} was {said_of(then)}"
    if reason in {"SOLD_OUT", "NO_ADJACENT_SEATS", "ORPHAN_SEAT"}:
        then_ = {place: timeline.just_before(event, place) for place in timeline.present}
        yield f"    {counted(layout, then_)}"


def command_line(record: LogRecord, name: str, fields: Fields) -> str:
    """Return what was asked for a reservation."""
    request = fields["request"]
    return (
        f"{as_time(record.timestamp)}  command {record.offset}  asked: {name} by"
        f" {request['userId']}, correlation id {request['correlationId']}"
    )


def outcome_line(event: Event, layout: Layout | None, rules: Rules) -> str:
    """Return one outcome of a reservation."""
    fields = event.fields
    parts = [when(event), event.name]
    parts += [
        f"{name} {fields[name]}" for name in ("cause", "epoch", "gateway") if fields.get(name)
    ]
    if event.places and layout is not None:
        parts.append("seats " + " ".join(layout.label(place) for place in event.places))
    if fields.get("deadlineMs"):
        parts.append(f"until {as_time(fields['deadlineMs'])}")
    if fields.get("currency"):
        parts.append(f"{fields['amount']} {fields['currency']} (minor units)")
    parts.append(f"by {rules.said_of(event)}")
    return "  ".join(parts)
