"""I8, I25: carts are told of each of their parts, and at rest no cart is half held.

What a cart believes is compared with how its parts stand by the oracle, however it came there.
"""

from collections import Counter

from scripts.auditing.carts import Carts, PartTold, StoredCart
from scripts.auditing.facts import Facts
from scripts.auditing.model import PART_ID
from scripts.auditing.report import Notes, Report, differences, offset_of

UNDER_WAY = {"ASKING", "ENDING"}
GONE = {"REJECTED", "RELEASED", "REFUNDED"}
# A part of which its section knows nothing: nobody survived it, or it went astray.
NEVER: dict[str, str] = {"status": "UNSPECIFIED"}


def check(facts: Facts, notes: Notes) -> None:
    """Compare what the sections of a partition told carts with what they must have told."""
    times: Counter[str] = Counter()
    for told in facts.told_carts:
        outcome_id = str(told.fields["outcomeId"])
        if facts.is_ahead(offset_of(outcome_id)):
            notes.report.ahead += 1
            continue
        times[outcome_id] += 1
        compare(facts, notes, told, is_again=times[outcome_id] > 1)
    for outcome_id, expected in facts.carts.items():
        if not times[outcome_id]:
            where = expected.fields["request"]["reservationId"]
            message = f"{expected.name} {outcome_id} is missing"
            notes.bad("I8", "lost write", expected.trigger, message, reservation_id=where)


def compare(facts: Facts, notes: Notes, told: PartTold, *, is_again: bool) -> None:
    """Compare one record with what its command or lapse must have led to."""
    outcome_id = str(told.fields["outcomeId"])
    trigger, where = offset_of(outcome_id), told.fields["request"]["reservationId"]
    expected = facts.carts.get(outcome_id)
    anomaly, message = "", f"PartDecided {outcome_id}"
    if expected is None:
        # Told again after a rewind, it tells how the part stands then.
        is_repeat = facts.allow_repeats and PART_ID.fullmatch(where)
        anomaly, message = ("", "") if is_repeat else ("phantom effect", f"{message}: no command")
    elif is_again:
        anomaly = "" if facts.allow_repeats else "duplicate effect"
    elif told.record.key != expected.key or not told.is_home:
        anomaly, message = "wrong effect", f"{message} lies where no cart of its buyer is"
    elif (told.record.value or b"")[5:] != expected.body:
        difference = differences(expected.name, expected.fields, "PartDecided", told.fields)
        anomaly, message = "wrong effect", f"{message}: {difference}"
    if anomaly:
        notes.bad("I8", anomaly, trigger, message, reservation_id=where)


def add_parts(facts: Facts, carts: Carts) -> None:
    """Note how the parts of carts stand in the sections of a partition."""
    for reservation_id, held in facts.oracle.reservations.items():
        if PART_ID.fullmatch(reservation_id):
            carts.truth[reservation_id] = facts.partition, held.record


def judge_carts(carts: Carts, report: Report) -> None:
    """Judge every cart; only what is at rest, for parts and cart are read one after another."""
    statuses = [cart.fields["status"] for cart in carts.stored.values()]
    report.carts_under_way = sum(status in UNDER_WAY for status in statuses)
    if not report.is_at_rest:
        return
    for cart_id, cart in carts.stored.items():
        judge_cart(cart_id, cart, carts, report)
    for reservation_id, (partition, record) in carts.truth.items():
        cart_id, _, number = reservation_id.partition("_")
        known = carts.stored.get(cart_id)
        is_part = known is not None and int(number) < len(known.fields["parts"])
        if record["status"] == "HELD" and not is_part:
            notes, message = Notes(partition, report), "a hold of a cart that nobody knows"
            where = {"reservation_id": reservation_id}
            notes.bad("I25", "hold without cart", record["decidedOffset"], message, **where)


def judge_cart(cart_id: str, cart: StoredCart, carts: Carts, report: Report) -> None:
    """Compare one cart at rest with its parts, and its parts with one another."""
    fields, notes = cart.fields, Notes(cart.partition, report)
    where = {"reservation_id": cart_id}
    standings: list[str] = []
    for number, part in enumerate(fields["parts"]):
        _, record = carts.truth.get(f"{cart_id}_{number}", (0, NEVER))
        standings.append(record["status"])
        believed = part["standing"]["status"]
        is_known = believed == record["status"] or (record is NEVER and believed == "REJECTED")
        if not is_known:
            message = f"part {number} is {record['status']} and believed to be {believed}"
            notes.bad("I25", "cart unlike parts", cart.offset, message, **where)
    held, gone = standings.count("HELD"), len(GONE.intersection(standings))
    if held and (fields["end"] != "UNSPECIFIED" or (gone and fields["onFailure"] != "KEEP")):
        report.carts_half_held += 1
        message = f"{', '.join(standings)}; ended: {fields['end']}"
        notes.bad("I25", "half held", cart.offset, message, **where)
    if (fields["status"] == "HELD") != bool({"HELD", "PAYING"}.intersection(standings)):
        message = f"{fields['status']} with parts that are {', '.join(standings)}"
        notes.bad("I25", "cart unlike parts", cart.offset, message, **where)
