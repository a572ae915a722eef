"""I26: what is paid for is issued once, and nothing else is.

The payments role must have said what became of each payment that was done once; what was issued
must be what it said, and no seat is on two tickets. Orders that are not issued yet are counted:
the workers that issue may be away, or not be played at all.
"""

from collections import Counter
from collections.abc import Iterator

from scripts.auditing.facts import SAID, Done, Kept
from scripts.auditing.issued.reading import Issued, Word
from scripts.auditing.report import Notes, Report


def judge_payments(kept: Kept, issued: Issued, report: Report) -> None:
    """Compare the payments of a partition with what was said of them."""
    notes = Notes(kept.partition, report)
    for reservation_id, done in kept.done.items():
        where = {"reservation_id": reservation_id}
        order_id = f"{reservation_id}.{done.epoch}.{kept.partition}"
        if message := judge_payment(done, issued.newest.get(order_id)):
            notes.bad("I26", "lost word", done.offset, message, **where)
        if done.sold is not None:
            message = f"{done.said['seats']} are issued, and {done.sold} are sold"
            notes.bad("I26", "wrong seats", done.offset, message, **where)


def judge_payment(done: Done, word: Word | None) -> str:
    """Say what is wrong with the last word about a payment that was done once."""
    is_done = done.status == "DONE"
    if word is None:
        return "nobody was told of it"
    if word.turns > done.turns:
        # It has moved since it was read.
        return ""
    if word.is_valid != is_done or (is_done and word.turns != done.turns):
        said = "confirmed" if word.is_valid else "revoked"
        return f"{done.status} at turn {done.turns}, and {said} at turn {word.turns}"
    differing = [part for part in SAID if word.said[part] != done.said[part]]
    return f"other {', '.join(differing)} than it has" if differing else ""


def judge_issued(issued: Issued, report: Report) -> None:
    """Judge what was issued and allocated, and count it."""
    for problem in (*twice(issued), *phantoms(issued)):
        word, anomaly, message = problem
        report.issued_twice += anomaly == "issued twice"
        Notes(word.partition, report).bad("I26", anomaly, word.offset, message)
    active = {own_id for own_id, (_, is_active) in issued.is_active.items() if is_active}
    report.purchases = len(active)
    report.allocations = sum(len(issued.allocated.get(own_id, ())) for own_id in active)
    report.unallocated = sum(not issued.allocated.get(own_id) for own_id in active)
    report.slots = len(issued.slots)
    report.unissued = sum(
        is_unissued(word, issued.orders.get(order_id)) for order_id, word in issued.newest.items()
    )
    seats: Counter[tuple[int, str, int, int]] = Counter(seats_of(issued))
    report.tickets = seats.total()
    for own_id, allocations in issued.allocated.items():
        if len(allocations) > 1:
            report.issued_twice += 1
            message = f"{own_id} has the allocations {', '.join(sorted(allocations))}"
            Notes(-1, report).bad("I26", "allocated twice", -1, message)
    if report.unissued or not report.is_at_rest:
        # A seat that was given back may be sold again before the former ticket is revoked.
        return
    for seat, count in seats.items():
        if count > 1:
            report.issued_twice += 1
            Notes(-1, report).bad("I26", "seat on two tickets", -1, f"{seat}: {count} tickets")


def is_unissued(word: Word, order: Word | None) -> bool:
    """Say whether nobody has acted on the newest word about an order yet.

    One that was revoked before anybody issued it has no tickets, and nothing is told of it.
    """
    return word.is_valid if order is None else order.turns < word.turns


def seats_of(issued: Issued) -> Iterator[tuple[int, str, int, int]]:
    """Yield event, section, row and seat of every ticket."""
    for word in issued.orders.values():
        for part in word.said["seats"] if word.is_valid else ():
            for seat in range(part["first"], part["first"] + part["count"]):
                yield word.buyer[1], part["section"], part["row"], seat


def twice(issued: Issued) -> Iterator[tuple[Word, str, str]]:
    """Yield each purchase that was told twice, and each buyer who has two of an event."""
    by_buyer: dict[tuple[str, int], str] = {}
    for (own_id, revision), words in issued.told.items():
        for again in words[1:]:
            yield again, "issued twice", f"{own_id} at revision {revision}"
        known = by_buyer.setdefault(words[0].buyer, own_id)
        if known != own_id:
            yield words[0], "issued twice", f"{words[0].buyer} has {known} and {own_id}"


def phantoms(issued: Issued) -> Iterator[tuple[Word, str, str]]:
    """Yield what was issued and never said like this."""
    for words in issued.told.values():
        for word in words:
            order_id = str(word.said["orderId"])
            said = issued.confirmed.get((order_id, word.turns))
            if said is None or not said.says_as(word):
                yield word, "phantom ticket", f"{order_id} at turn {word.turns} was never told so"
