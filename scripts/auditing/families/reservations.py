"""I7: a reservation goes only from where it stands to where it may go.

Followed through the outcomes alone, without the oracle's decisions.
"""

from collections.abc import Callable
from typing import Any

from scripts.auditing.facts import Facts
from scripts.auditing.report import Notes

# HELD, PAYING, SOLD, REJECTED, REFUNDED or the cause of a release; and the epoch.
Standing = tuple[str, int]
Fields = dict[str, Any]

# What only the end of a payment is the cause of.
FAILURES = {"DECLINED", "EXPIRED", "DIFFERED"}
UNKNOWN: Standing = ("", 0)
# A record that went astray is refused, whatever the reservation is elsewhere.
ASTRAY = {"KEY_MISMATCH", "WRONG_PARTITION"}


def check(facts: Facts, notes: Notes) -> None:
    """Follow every reservation; note each step that it may not take."""
    standings: dict[str, Standing] = {}
    for told in facts.followed:
        step = STEPS.get(told.name)
        if step is None:
            continue
        reservation = told.fields["request"]["reservationId"]
        before = standings.get(reservation, UNKNOWN)
        is_legal, standings[reservation] = step(told.fields, before)
        if not is_legal:
            message = f"{before[0] or 'none'} to {told.name}"
            notes.bad("I7", "illegal transition", told.at, message, **told.where)


def hold(fields: Fields, before: Standing) -> tuple[bool, Standing]:
    """Only what nobody has heard of is held."""
    return before[0] == "", ("HELD", fields["epoch"])


def confirm(fields: Fields, before: Standing) -> tuple[bool, Standing]:
    """A hold or a payment ends with it; one that had ended otherwise begins an epoch."""
    epoch = fields["epoch"]
    if fields["reacquired"]:
        return before in {(cause, epoch - 1) for cause in {"LAPSED", *FAILURES}}, ("SOLD", epoch)
    return before in {("HELD", epoch), ("PAYING", epoch)}, ("SOLD", epoch)


def start(fields: Fields, before: Standing) -> tuple[bool, Standing]:
    """Only a hold is paid for."""
    return before == ("HELD", fields["epoch"]), ("PAYING", fields["epoch"])


def refund(fields: Fields, before: Standing) -> tuple[bool, Standing]:
    """Only a sale is given back."""
    return before == ("SOLD", fields["epoch"]), ("REFUNDED", fields["epoch"])


def release(fields: Fields, before: Standing) -> tuple[bool, Standing]:
    """A hold is given up, a payment fails; with epoch 0, before anybody has heard of it."""
    epoch = fields["epoch"]
    held = "PAYING" if fields["cause"] in FAILURES else "HELD"
    return before == ((held, epoch) if epoch else UNKNOWN), (fields["cause"], epoch)


def extend(fields: Fields, before: Standing) -> tuple[bool, Standing]:
    """A hold stays one."""
    return before == ("HELD", fields["epoch"]), before


def reject(fields: Fields, before: Standing) -> tuple[bool, Standing]:
    """What nobody has heard of, or was cancelled before it came, is refused."""
    if fields["reason"] in ASTRAY:
        return True, before
    return before[0] in {"", "CANCELLED"}, before if before[0] else ("REJECTED", 0)


STEPS: dict[str, Callable[[Fields, Standing], tuple[bool, Standing]]] = {
    "SeatsHeld": hold,
    "ReservationConfirmed": confirm,
    "ReservationReleased": release,
    "HoldExtended": extend,
    "PaymentStarted": start,
    "ReservationRefunded": refund,
    "ReservationRejected": reject,
}
