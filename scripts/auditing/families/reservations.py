"""I7, I9: a reservation goes only where it may go, and no hold outlasts its deadline.

Followed through the outcomes alone, without the oracle's decisions: only the time is the oracle's.
"""

from collections.abc import Callable
from typing import Any

from scripts.auditing.facts import Facts, Told
from scripts.auditing.oracle.model import LAPSES_PER_RECORD
from scripts.auditing.report import Notes

# HELD, PAYING, SOLD, REJECTED, REFUNDED or the cause of a release; and the epoch.
Standing = tuple[str, int]
Fields = dict[str, Any]

# What only the end of a payment is the cause of.
FAILURES = {"DECLINED", "EXPIRED", "DIFFERED"}
UNKNOWN: Standing = ("", 0)
# A record that went astray is refused, whatever the reservation is elsewhere.
ASTRAY = {"KEY_MISMATCH", "WRONG_PARTITION"}
DEADLINES = {"SeatsHeld", "HoldExtended"}
# A sale, a release of any cause, and a payment, whose own deadline is of the family of money.
ENDS = {"ReservationConfirmed", "ReservationReleased", "PaymentStarted"}


def check(facts: Facts, notes: Notes) -> None:
    """Follow every reservation; note what it may not do, and holds that are over and stand."""
    judge_steps(facts, notes)
    judge_deadlines(facts, notes)


def judge_steps(facts: Facts, notes: Notes) -> None:
    """Note each step that a reservation may not take."""
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


def judge_deadlines(facts: Facts, notes: Notes) -> None:
    """Note the holds that stand although their time is over."""
    standing: dict[str, Told] = {}
    lapses_by_last = 0
    for told in facts.followed:
        reservation = told.fields["request"]["reservationId"]
        if told.name in DEADLINES:
            standing[reservation] = told
        elif told.name in ENDS:
            standing.pop(reservation, None)
            is_lapse = told.fields.get("cause") == "LAPSED"
            lapses_by_last += is_lapse and told.at == facts.oracle.next_offset - 1
    if lapses_by_last >= LAPSES_PER_RECORD:
        # More are due than one record ends; the next one goes on.
        return
    now_ms = facts.oracle.time.lapses_to_ms
    for told in standing.values():
        over_ms = now_ms - told.fields["deadlineMs"]
        if over_ms >= 0:
            message = f"held for {over_ms} ms after its deadline"
            notes.bad("I9", "stranded hold", told.at, message, **told.where)


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
