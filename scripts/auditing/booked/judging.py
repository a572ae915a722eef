"""The booking queue (I22): nobody twice, nobody lost, and no seats that the log has not.

It was read before the log: of every reservation that an item names the log knows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from schemas.topics import BOOKING_QUEUE
from scripts.auditing.booked.reading import SeenItem, SeenQueue
from scripts.auditing.facts import Facts
from scripts.auditing.log import Log
from scripts.auditing.report import Notes, Report

OVER = {"completed", "expired", "cancelled"}

Booked = dict[str, tuple[int, str]]
"""By reservation that an item names: its event and user, as the log has them."""


def booked_in(facts: Facts, wanted: frozenset[str]) -> Booked:
    """Return what a partition knows of reservations that items name."""
    found: Booked = {}
    for reservation_id in wanted & facts.oracle.reservations.keys():
        request = facts.oracle.reservations[reservation_id].record["request"]
        found[reservation_id] = request["eventId"], request["userId"]
    return found


def judge_queues(log: Log, booked: Booked, report: Report) -> None:
    """Judge the queue of each event in Redis; nothing where that was not named."""
    for queue in log.queues or ():
        report.queues += 1
        report.queued += len(queue.line) + len(queue.later) + len(queue.taken)
        notes = Notes(0, report)
        if queue.fault:
            notes.bad("I22", "no queue of ours", -1, f"event {queue.event_id}: {queue.fault}")
            continue
        report.queues_moving += queue.moved
        found = [*judge_reservations(queue, booked)]
        # Of what moves meanwhile nobody can say how it stands together.
        found += [] if queue.moved else [*judge_standing(queue), *judge_sums(queue)]
        for anomaly, message in found:
            notes.bad("I22", anomaly, -1, f"event {queue.event_id}: {message}")


def judge_bookings(log: Log, booked: Booked, report: Report) -> None:
    """Judge the lines that the topic of the queue makes; nothing where it was not read.

    What an outcome names is judged whether or not it came in time.
    """
    if log.lines is None:
        return
    for place in log.lines.foreign:
        notes = Notes(place.partition, report)
        notes.foreign(BOOKING_QUEUE.name, place.offset, place.why)
    report.queues_moving += len(log.lines_moved)
    found = [(place.why, place.message) for place in log.lines.found]
    for event_id, (_, line) in log.lines.by_event.items():
        report.queues += bool(line.items)
        report.queued += line.here
        # Of items whose records are gone nobody knows the user.
        named = [
            (item_id, line.items[item_id].user, reservation)
            for (item_id, _), reservation in line.told.items()
            if item_id in line.items
        ]
        judged = judge_named(event_id, named, booked)
        found += [(why, f"event {event_id}: {message}") for why, message in judged]
    for anomaly, message in found:
        Notes(0, report).bad("I22", anomaly, -1, f"{BOOKING_QUEUE.name}: {message}")


def judge_reservations(
    queue: SeenQueue, booked: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """Yield anomaly and message of each reservation that an item names and that cannot be."""
    reserved = {of: item for of, item in queue.items.items() if item.reservation_id}
    named = [(of, item.user, item.reservation_id) for of, item in reserved.items()]
    yield from judge_named(queue.event_id, named, booked)
    for item_id, item in reserved.items():
        if item.status != "completed":
            yield "reserved and not completed", f"{item_id}: {item.status}"


def judge_named(
    event_id: int, named: Iterable[tuple[str, str, str]], booked: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """Yield what cannot be of (item, its user, reservation that it names)."""
    told = sorted({*named})
    items = Counter(reservation for _, reservation in {(of, one) for of, _, one in told})
    for item_id, user, reservation in told:
        if items[reservation] > 1 and reservation != "?":
            yield "one reservation of two items", f"{item_id}: {reservation}"
        if booked.get(reservation) != (event_id, user):
            yield "no such reservation in the log", f"{item_id} of {user}: {reservation}"


def judge_standing(queue: SeenQueue) -> Iterator[tuple[str, str]]:
    """Yield anomaly and message of each item that does not stand where its status says."""
    places = {
        "line": queue.line.keys(),
        "later": queue.later,
        "taken": queue.taken,
        "dead": queue.dead,
    }
    for item_id in sorted({one for there in places.values() for one in there}):
        where = [name for name, there in places.items() if item_id in there]
        if len(where) > 1:
            yield "twice in the queue", f"{item_id}: {', '.join(where)}"
        # Those that are over are gone a day later; a dead one is named until it is.
        if item_id not in queue.items and where != ["dead"]:
            yield "listed and not there", f"{item_id}: {where[0]}"
    for item_id, item in queue.items.items():
        where = [name for name, there in places.items() if item_id in there]
        if why := _misplaced(item_id, item, where, queue):
            yield why, f"{item_id}: {item.status}, in {', '.join(where) or 'nothing'}"
    numbers = Counter(queue.line.values())
    for item_id, number in queue.line.items():
        if numbers[number] > 1:
            yield "two items at one place", f"{item_id}: {number}"
        known = queue.items.get(item_id)
        if known is not None and known.number != number:
            yield "at a place that is not its own", f"{item_id}: {number}, not {known.number}"


def _misplaced(item_id: str, item: SeenItem, where: list[str], queue: SeenQueue) -> str:
    """Return why an item may not stand where it does; empty where it may."""
    match item.status:
        case "waiting":
            return "" if {*where} & {"line", "later"} else "lost in the queue"
        case "processing":
            has_lease = item.token and queue.leases.get(item.token) == item_id
            return "" if "taken" in where and has_lease else "processing without a lease"
        case "dead":
            return "" if where == ["dead"] else "dead and not set aside"
        case status if status in OVER:
            return "over and still in the queue" if where else ""
        case _:
            return "no status of ours"


def judge_sums(queue: SeenQueue) -> Iterator[tuple[str, str]]:
    """Yield anomaly and message where items do not add up: each number ends once, or is there."""
    counts = queue.counts
    here = len(queue.line) + len(queue.later) + len(queue.taken)
    ended = sum(counts[name] for name in ("completed", "expired", "cancelled", "dead"))
    if counts["number"] != here + ended:
        message = f"{counts['number']} came, {here} are there and {ended} ended"
        yield "items do not add up", message
    kept = Counter(item.status for item in queue.items.values())
    for status in ("completed", "expired", "cancelled", "dead"):
        if kept[status] > counts[status]:
            yield "ended more often than counted", f"{kept[status]} items are {status}"
    highest = max((item.number for item in queue.items.values()), default=0)
    if highest > counts["number"]:
        yield "a number that was never given out", f"{highest} of {counts['number']}"
