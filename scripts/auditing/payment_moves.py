"""Which moves a payment may make, by the records that must lie before each of them.

The table of purchases, written down once more: nothing of the product's rules is used.
"""

from itertools import pairwise

from scripts.auditing.purchases import Payment
from scripts.auditing.report import Bad

STATUSES = (
    "UNSPECIFIED",
    "PENDING",
    "PROCESSING",
    "CAPTURED",
    "DONE",
    "FAILED",
    "EXPIRED",
    "REFUND_DUE",
    "REFUNDED",
    "COMPENSATION_REQUIRED",
)

# First status of a payment: under way, or no gateway could be asked, or its deadline had passed.
FIRST = {"PENDING", "FAILED", "EXPIRED"}
ANYTHING: set[str] = set()
_LATE = {"CAPTURED": {"captured"}, "REFUND_DUE": {"captured otherwise"}}
_CALLED = {
    **_LATE,
    "PROCESSING": {"OPEN", "UNSPECIFIED"},
    "FAILED": {"DECLINED", "REFUNDED", "REFUSED"},
    "EXPIRED": {"NOT_FOUND"},
    "COMPENSATION_REQUIRED": ANYTHING,
}
# A person knows that the seats were paid for elsewhere: what comes here goes back.
ELSEWHERE = "found PAID_ELSEWHERE"
_LOOKED = {
    **_LATE,
    "REFUND_DUE": {"captured otherwise", ELSEWHERE},
    "COMPENSATION_REQUIRED": ANYTHING,
}
# By a payment's status and its next one: what must have been heard before, one of these.
MOVES: dict[str, dict[str, set[str]]] = {
    "PENDING": _CALLED,
    "PROCESSING": _CALLED,
    "CAPTURED": {
        "DONE": {"sold"},
        "REFUND_DUE": {"lost"},
        "COMPENSATION_REQUIRED": {"undecided"},
    },
    "DONE": {"REFUND_DUE": {"refund asked"}},
    "FAILED": _LOOKED,
    "EXPIRED": {**_LATE, "COMPENSATION_REQUIRED": ANYTHING},
    "REFUND_DUE": {"REFUNDED": {"REFUNDED"}, "COMPENSATION_REQUIRED": ANYTHING},
    "REFUNDED": {"COMPENSATION_REQUIRED": {"undecided", "sold by another"}},
    "COMPENSATION_REQUIRED": {
        "CAPTURED": {"captured"},
        "REFUND_DUE": {"captured otherwise", ELSEWHERE},
        "REFUNDED": {"REFUNDED", "found REFUNDED", ELSEWHERE},
        "FAILED": {"found FOUND_UNPAID", ELSEWHERE},
    },
}


def judge_moves(payment: Payment, bad: Bad) -> None:
    """Judge the moves of a payment as it was told; the last told must be what is stored."""
    stored = payment.stored
    assert stored is not None
    standings = [told["status"] for told in payment.told]
    if not standings:
        bad("I8", "lost write", f"{payment.status}, and nobody was told")
        return
    if standings[0] not in FIRST:
        bad("I7", "illegal transition", f"none to {standings[0]}")
    for before, after in pairwise(standings):
        is_anew = after in FIRST and "asked anew" in payment.heard
        if before == after or is_anew:
            continue
        because = MOVES.get(before, {}).get(after)
        if because is None:
            bad("I7", "illegal transition", f"payment from {before} to {after}")
        elif because and not because & payment.heard and not payment.is_unclear:
            message = f"from {before} to {after}, and none was heard of {sorted(because)}"
            bad("I7", "groundless transition", message)
    last = payment.told[-1]
    for part in ("status", "epoch", "amount", "currency", "gateway", "paymentId"):
        if last[part] != stored[part]:
            bad("I14", "wrong state", f"{part} is {stored[part]}, and was told as {last[part]}")
