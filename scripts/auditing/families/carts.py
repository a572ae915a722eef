"""I8, I10, I25: carts are told of each of their parts, and at rest none is half held or half paid.

What a cart believes is compared with how its parts stand by the oracle, however it came there, and
the money that is kept for it with the price of those that are sold.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from scripts.auditing.carts import Carts, Fields, PartTold, StoredCart
from scripts.auditing.facts import Facts, Kept, PartExpected
from scripts.auditing.oracle.keys import PART_ID
from scripts.auditing.report import Notes, Report, differences, offset_of
from scripts.auditing.schemas import own_schemas

UNDER_WAY = {"ASKING", "ENDING", "PAYING"}
GONE = {"REJECTED", "RELEASED", "REFUNDED"}
HAS_SEATS = {"UNSPECIFIED", "HELD", "PAYING", "SOLD"}
# A part of which its section knows nothing: nobody survived it, or it went astray.
NEVER: dict[str, str] = {"status": "UNSPECIFIED"}
# What of a part is compared with its cart.
COMPARED = ("request", "status", "amount", "decidedOffset")
# Seats that somebody has who may yet give them back.
OPEN = {"HELD", "PAYING"}


def check(kept: Kept, told_carts: Iterable[PartTold], notes: Notes) -> None:
    """Compare what the sections of a partition told carts with what they must have told.

    told_carts: what they told, wherever that lies.
    """
    times: Counter[str] = Counter()
    for told in told_carts:
        outcome_id = str(told.fields["outcomeId"])
        if kept.is_ahead(offset_of(outcome_id)):
            notes.report.ahead += 1
            continue
        times[outcome_id] += 1
        compare(kept, notes, told, is_again=times[outcome_id] > 1)
    for outcome_id, expected in kept.carts.items():
        if not times[outcome_id]:
            where = fields_of(expected)["request"]["reservationId"]
            message = f"{expected.name} {outcome_id} is missing"
            notes.bad("I8", "lost write", expected.trigger, message, reservation_id=where)


def compare(kept: Kept, notes: Notes, told: PartTold, *, is_again: bool) -> None:
    """Compare one record with what its command or lapse must have led to."""
    outcome_id = str(told.fields["outcomeId"])
    trigger, where = offset_of(outcome_id), told.fields["request"]["reservationId"]
    expected = kept.carts.get(outcome_id)
    anomaly, message = "", f"PartDecided {outcome_id}"
    if expected is None:
        # Told again after a rewind, it tells how the part stands then.
        is_repeat = kept.allow_repeats and PART_ID.fullmatch(where)
        anomaly, message = ("", "") if is_repeat else ("phantom effect", f"{message}: no command")
    elif is_again:
        anomaly = "" if kept.allow_repeats else "duplicate effect"
    elif told.record.key != expected.key or not told.is_home:
        anomaly, message = "wrong effect", f"{message} lies where no cart of its buyer is"
    elif (told.record.value or b"")[5:] != expected.body:
        difference = differences(expected.name, fields_of(expected), "PartDecided", told.fields)
        anomaly, message = "wrong effect", f"{message}: {difference}"
    if anomaly:
        notes.bad("I8", anomaly, trigger, message, reservation_id=where)


def fields_of(expected: PartExpected) -> Fields:
    """Return the fields of what a cart must have been told."""
    return own_schemas().decode(expected.name, expected.body)


def add_parts(facts: Facts, carts: Carts) -> None:
    """Note how the parts of carts in a partition stand, and no more than is compared."""
    for reservation_id, held in facts.oracle.reservations.items():
        if PART_ID.fullmatch(reservation_id):
            standing = {name: held.record[name] for name in COMPARED}
            carts.truth[reservation_id].append((facts.partition, standing))


def standing_part(carts: Carts, cart_id: str, number: int) -> Fields:
    """Return how a part of a known cart stands in its section; NEVER where that knows no such."""
    cart = carts.stored[cart_id].fields
    for _, record in carts.truth.get(f"{cart_id}_{number}", []):
        if is_part_of(cart, number, record["request"]):
            return record
    return NEVER


def is_part_of(cart: Fields, number: int, request: Fields) -> bool:
    """Say whether a reservation of this number is that of the cart, by buyer, event and section.

    Whoever writes commands may give any reservation the id of a part.
    """
    if number >= len(cart["parts"]):
        return False
    wanted = cart["userId"], cart["eventId"], cart["parts"][number]["section"]
    return wanted == (request["userId"], request["eventId"], request["section"])


def judge_carts(carts: Carts, report: Report) -> None:
    """Judge every cart; only what is at rest, for parts and cart are read one after another."""
    statuses = [cart.fields["status"] for cart in carts.stored.values()]
    report.carts_under_way = sum(status in UNDER_WAY for status in statuses)
    if not report.is_at_rest:
        return
    for cart_id, cart in carts.stored.items():
        judge_cart(cart_id, cart, carts, report)
        judge_payment(cart_id, cart, carts, report)
    judge_limits(carts, report)
    for cart_id, paid in carts.payments.items():
        if cart_id not in carts.stored and paid.kept:
            message = f"{dict(paid.kept)} is kept for a cart that nobody knows"
            notes = Notes(-1, report)
            notes.bad(
                "I10", "stranded money", paid.payment.offset, message, reservation_id=cart_id
            )
    judge_strays(carts, report)


def judge_strays(carts: Carts, report: Report) -> None:
    """Judge holds with the id of a part: each is of the cart that it names."""
    for reservation_id, reservations in carts.truth.items():
        cart_id, _, number = reservation_id.partition("_")
        known = carts.stored.get(cart_id)
        for partition, record in reservations:
            request = record["request"]
            is_part = known is not None and is_part_of(known.fields, int(number), request)
            if record["status"] in OPEN and not is_part:
                notes = Notes(partition, report)
                message = f"{record['status']}, and no cart has this part"
                where = {"reservation_id": reservation_id, "section": request["section"]}
                notes.bad("I25", "hold without cart", record["decidedOffset"], message, **where)


def judge_cart(cart_id: str, cart: StoredCart, carts: Carts, report: Report) -> None:
    """Compare one cart at rest with its parts, and its parts with one another."""
    fields, notes = cart.fields, Notes(cart.partition, report)
    where = {"reservation_id": cart_id}
    standings: list[str] = []
    for number, part in enumerate(fields["parts"]):
        record = standing_part(carts, cart_id, number)
        standings.append(record["status"])
        believed = part["standing"]["status"]
        is_known = believed == record["status"] or (record is NEVER and believed == "REJECTED")
        if not is_known:
            message = f"part {number} is {record['status']} and believed to be {believed}"
            notes.bad("I25", "cart unlike parts", cart.offset, message, **where)
    gone = any(standings[number] in GONE for number in relied_on(fields, standings))
    held = standings.count("HELD")
    short = any(is_short(fields["parts"], party["parts"]) for party in fields["parties"])
    if held and short and fields["end"] == "UNSPECIFIED":
        report.carts_half_held += 1
        message = "a party has fewer seats than it wants"
        notes.bad("I25", "half held", cart.offset, message, **where)
    if held and (fields["end"] != "UNSPECIFIED" or (gone and fields["onFailure"] != "KEEP")):
        report.carts_half_held += 1
        message = f"{', '.join(standings)}; ended: {fields['end']}"
        notes.bad("I25", "half held", cart.offset, message, **where)
    if "PAYING" in standings:
        message = "a part waits for a payment that is not under way"
        notes.bad("I9", "stranded seats", cart.offset, message, **where)
    if (fields["status"] == "HELD") != ("HELD" in standings):
        message = f"{fields['status']} with parts that are {', '.join(standings)}"
        notes.bad("I25", "cart unlike parts", cart.offset, message, **where)


def relied_on(fields: Fields, standings: Sequence[str]) -> set[int]:
    """Return the parts without which a cart is no whole: no refused one of a party elsewhere."""
    passed_over = {
        number
        for party in fields["parties"]
        for number in party["parts"][:-1]
        if standings[number] == "REJECTED"
    }
    return set(range(len(standings))) - passed_over


def is_short(parts: Sequence[Fields], numbers: Sequence[int]) -> bool:
    """Say whether a party has fewer seats than its first part is for; numbers: of its parts."""
    wanted: int = parts[numbers[0]]["seatCount"]
    return seats_in([parts[number] for number in numbers]) < wanted


def seats_in(parts: Sequence[Fields]) -> int:
    """Return how many seats these parts have."""
    standings = [part["standing"] for part in parts]
    ranges = [one for now in standings if now["status"] not in GONE for one in now["seats"]]
    return sum(one["count"] for one in ranges)


def judge_payment(cart_id: str, cart: StoredCart, carts: Carts, report: Report) -> None:
    """Compare the payment of a cart at rest with its seats: all are sold and paid for, or none."""
    fields, notes, paid = cart.fields, Notes(cart.partition, report), carts.payments.get(cart_id)
    known, where = fields["payment"], {"reservation_id": cart_id}

    def bad(invariant: str, anomaly: str, message: str) -> None:
        notes.bad(invariant, anomaly, cart.offset, message, **where)

    if known["method"] or known["parameters"]:
        bad("I24", "kept secret", "what the gateway wants to know of the buyer is kept")
    records = [
        standing_part(carts, cart_id, number)
        for number, part in enumerate(fields["parts"])
        if part["isPaid"]
    ]
    standings = {record["status"] for record in records}
    costs = sum(record.get("amount", 0) for record in records)
    stored = None if paid is None else paid.payment.stored
    if paid is None or stored is None:
        if known["step"] == "SOLD" and known["amount"]:
            bad("I10", "sold without money", "nobody keeps a purchase for what was sold")
        return
    payment, status = paid.payment, paid.payment.status
    if not paid.is_settled or status == "COMPENSATION_REQUIRED":
        return
    if (stored["amount"], known["amount"]) != (costs, costs):
        message = f"{stored['amount']} of {known['amount']}, and the parts were held for {costs}"
        bad("I10", "wrong amount", message)
    if status == "DONE" and standings != {"SOLD"}:
        bad("I10", "stranded money", f"paid for, and the parts are {', '.join(sorted(standings))}")
    if status != "DONE" and "SOLD" in standings and "found PAID_ELSEWHERE" not in payment.heard:
        bad("I10", "sold without money", f"{status}, and some part is sold")
    due = Counter({stored["currency"]: costs} if status == "DONE" else {})
    if paid.kept != due and not paid.is_asked:
        report.money_mismatch += 1
        bad("I10", "stranded money", f"{dict(paid.kept)} is kept, and {dict(due)} is to be")


def judge_limits(carts: Carts, report: Report) -> None:
    """Count what buyers have above their limits, and judge the lists by which that is known.

    Money that came late may have sold seats again to a buyer who had taken others meanwhile.
    """
    counted: dict[str, list[str]] = defaultdict(list)
    seats: Counter[str] = Counter()
    holds: Counter[str] = Counter()
    for cart_id, cart in carts.stored.items():
        buyer = f"{cart.fields['eventId']}-{cart.fields['userId']}"
        standings = [part["standing"]["status"] for part in cart.fields["parts"]]
        if not cart.fields["isLimited"] or not HAS_SEATS.intersection(standings):
            continue
        counted[buyer].append(cart_id)
        of_parties = {one for party in cart.fields["parties"] for one in party["parts"]}
        for number, part in enumerate(cart.fields["parts"]):
            standing = standings[number]
            # Of a party, some section may hold fewer than it was asked for.
            is_told = number in of_parties and standing != "UNSPECIFIED"
            has = seats_in([part]) if is_told else part["seatCount"]
            seats[buyer] += has * (standing in HAS_SEATS)
            holds[buyer] += standing in HAS_SEATS - {"SOLD"}
    for buyer in counted.keys() | carts.listed.keys():
        if sorted(counted[buyer]) != sorted(carts.listed.get(buyer, [])):
            message = f"carts {sorted(counted[buyer])} count for {buyer}, and others are listed"
            Notes(-1, report).bad("I14", "wrong list", -1, message)
    for buyer, (most_seats, most_holds) in carts.limits.items():
        is_over = 0 < most_seats < seats[buyer] or 0 < most_holds < holds[buyer]
        report.held_over_limit += is_over
