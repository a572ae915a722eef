"""I8: payment-commands has one record for each start and each command about money, no others."""

from collections import Counter

from schemas.topics import PAYMENT_COMMANDS
from scripts.auditing.facts import Expected, Facts
from scripts.auditing.oracle.keys import CART_PAYMENT_ID
from scripts.auditing.report import Notes, differences, offset_of
from scripts.auditing.schemas import Fields, Unreadable
from serdes.wire import HEADER_BYTES

# The records that sections write; all others are between payments and their gateways.
OF_SECTIONS = {"PaymentRequested", "SaleDecided"}


def check(facts: Facts, notes: Notes) -> None:
    """Compare the records of sections on payment-commands with what commands must lead to."""
    times: Counter[str] = Counter()
    for record in facts.log.payments.get(facts.partition, []):
        value = record.value or b""
        try:
            name, fields = facts.log.wire.decode(value, PAYMENT_COMMANDS)
        except Unreadable as error:
            notes.foreign(PAYMENT_COMMANDS.name, record.offset, str(error))
            continue
        if name not in OF_SECTIONS:
            continue
        told, trigger = fields["outcomeId"], offset_of(fields["outcomeId"])
        where = {"reservation_id": fields["request"]["reservationId"]}
        if CART_PAYMENT_ID.fullmatch(fields["request"]["reservationId"]):
            # By a cart, which is judged as a whole, by its seats and money.
            continue
        if facts.is_ahead(trigger):
            notes.report.ahead += 1
            continue
        expected = facts.payments.get(told)
        if expected is None:
            message = f"{name} {told} at offset {record.offset} belongs to no command"
            notes.bad("I8", "phantom effect", trigger, message, **where)
            continue
        times[told] += 1
        if times[told] > 1 and not facts.allow_repeats:
            notes.bad("I8", "duplicate effect", trigger, f"{name} {told} again", **where)
        elif (expected.name, expected.key) != (name, record.key) or not _is_as(
            expected, value, fields, facts
        ):
            difference = differences(expected.name, expected.fields, name, fields)
            notes.bad("I8", "wrong effect", trigger, f"{told}: {difference}", **where)
    for told, expected in facts.payments.items():
        if not times[told]:
            message = f"{expected.name} {told} is missing"
            notes.bad(
                "I8",
                "lost write",
                expected.trigger,
                message,
                reservation_id=expected.key.decode(),
            )


def _is_as(expected: Expected, value: bytes, fields: Fields, facts: Facts) -> bool:
    """Say whether a record says what it must, as far as the schema of its writer can."""
    wire = facts.log.wire
    if expected.body == value[HEADER_BYTES:]:
        return True
    could_say = expected.fields | wire.unsaid(value, fields)
    present = wire.present_form(expected.name, value, fields)
    return present == wire.avro.encode(expected.name, could_say)
