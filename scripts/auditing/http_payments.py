"""What clients were told about payments over HTTP, compared with what the log says of them.

I19  who was told how a payment stands is told of nothing older later on
I20  nobody is told of a sale that there is not; what was begun is the asker's, a repeat of it
     says the same, and what was to go back has gone back
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from scripts.auditing.facts import Traces
from scripts.auditing.http_history import Act, Exchange, Kind
from scripts.auditing.purchases import Payment
from scripts.auditing.report import offset_of

Answer = dict[str, Any]
Fields = dict[str, Any]
Bad = Callable[[str, str, Exchange, str], None]  # invariant, anomaly, of what, message

ACTS = frozenset({Act.PAY, Act.PAYMENT, Act.REFUND})
STATUS_AFTER = {
    "SeatsHeld": "HELD",
    "HoldExtended": "HELD",
    "ReservationConfirmed": "SOLD",
    "PaymentStarted": "PAYING",
    "ReservationRefunded": "REFUNDED",
    "ReservationReleased": "RELEASED",
    "ReservationRejected": "REJECTED",
}
# What a payment is called of which nobody keeps a purchase, by the outcomes of which one is there.
WITHOUT_PURCHASE = {
    "NOT_STARTED": {"SeatsHeld"},
    "PENDING": {"PaymentStarted"},
    "REJECTED": {"ReservationReleased", "ReservationRejected"},
}


class Known(Protocol):
    """The highest of the values that were told before a moment; -1 for none."""

    def at(self, moment: int) -> int: ...


class PaymentAnswers:
    """All checks of the answers about payments.

    answers: the whole history, each with its document. bad: notes one that cannot have been true.
    """

    def __init__(
        self, answers: Sequence[tuple[Exchange, Answer]], traces: Traces, bad: Bad
    ) -> None:
        self.traces = traces
        self.bad = bad
        # When a client was told that a reservation is sold, and which place of a payment's story.
        self.sold: dict[str, int] = {}
        self.stood: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.starts: dict[str, list[tuple[Exchange, Answer]]] = defaultdict(list)
        for one, answer in answers:
            subject = one.reservation_id
            if one.act is Act.PAY:
                self.starts[one.stem].append((one, answer))
            if one.act is Act.PAYMENT and one.kind(answer) is Kind.OK:
                story, status = self.story(subject), answer["status"]
                place = story.index(status) if status in story else -1
                self.stood[subject].append((one.returned_ns, place))
            told = answer.get("reservation_status" if one.act is Act.PAYMENT else "status")
            if told == "SOLD":
                first_ns = self.sold.get(subject, one.returned_ns)
                self.sold[subject] = min(first_ns, one.returned_ns)

    def story(self, subject: str) -> list[str]:
        """Return how a payment stood, one status after the other, as it was told in the log."""
        payment = self.traces.payments.get(subject, Payment())
        return [str(told["status"]) for told in payment.told]

    def outcomes(self, subject: str) -> list[tuple[str, Fields]]:
        """Return name and fields of each outcome of a reservation."""
        return list(self.traces.outcomes.get(subject, {}).values())

    def was_sold(self, one: Exchange) -> bool:
        """Say whether somebody was told before a request that its reservation is sold."""
        return self.sold.get(one.reservation_id, one.invoked_ns) < one.invoked_ns

    def check(self, one: Exchange, answer: Answer) -> None:
        """Judge an answer that is no refusal."""
        if one.status == 202:
            self.check_taken(one, answer)
        elif one.kind(answer) is Kind.OK:
            self.check_payment(one, answer)

    def check_taken(self, one: Exchange, answer: Answer) -> None:
        """Judge a start that was taken, or a wish: whose it is, and what has become of it."""
        subject = one.reservation_id
        if (answer.get("payment_id"), answer.get("status")) != (subject, "PENDING"):
            self.bad("I20", "other than its event", one, str(answer))
        self.check_owner(one)
        if one.act is not Act.REFUND:
            return
        # At rest: whoever reads this waits for it.
        names = {name for name, _ in self.outcomes(subject)}
        if "refund asked" not in self.traces.payments.get(subject, Payment()).heard:
            self.bad("I20", "no such event", one, "nobody was asked for the money")
        elif "ReservationRefunded" not in names:
            self.bad("I20", "not given back", one, f"its payment went {self.story(subject)}")

    def check_owner(self, one: Exchange) -> None:
        """A reservation is told of to the one who holds it."""
        users = {fields["request"]["userId"] for name, fields in self.outcomes(one.reservation_id)}
        if one.user not in users:
            self.bad("I20", "somebody else's", one, f"it is {sorted(users)}'s")

    def check_payment(self, one: Exchange, answer: Answer) -> None:
        """A payment stood so, its seats too, and nothing newer was known before."""
        subject, status = one.reservation_id, answer["status"]
        outcomes, story = self.outcomes(subject), self.story(subject)
        names = {name for name, _ in outcomes}
        self.check_owner(one)
        if status not in story and not WITHOUT_PURCHASE.get(status, set()) & names:
            self.bad("I20", "no such event", one, f"{status}, and it went {story}")
        seats = answer["reservation_status"]
        if seats not in {STATUS_AFTER[name] for name in names & STATUS_AFTER.keys()}:
            self.bad("I20", "no such event", one, f"its seats {seats}, after {sorted(names)}")
        held = [fields for _, fields in outcomes if "amount" in fields]
        prices = {(fields["amount"], fields["currency"]) for fields in held}
        if prices != {(answer["amount"], answer["currency"])}:
            self.bad("I20", "other than its event", one, f"costs {prices}, and not {answer}")
        number = answer["booking_number"]
        numbers = {told["bookingNumber"] for told in self.told(subject)}
        is_told_sold = status == "DONE" or number is not None
        if is_told_sold and ("ReservationConfirmed" not in names or number not in numbers):
            self.bad("I20", "no such sale", one, f"booked as {number}, the log has {numbers}")
        self.check_order(one, answer, story)

    def told(self, subject: str) -> list[Fields]:
        """Return what was told of a payment in the log."""
        return self.traces.payments.get(subject, Payment()).told

    def check_order(self, one: Exchange, answer: Answer, story: Sequence[str]) -> None:
        """What was told before stays so, or something came after it."""
        status, seats = answer["status"], answer["reservation_status"]
        if self.was_sold(one) and seats in {"HELD", "PAYING"}:
            self.bad("I19", "non-monotonic read", one, f"{seats}, and it was sold before")
        if seats == "PAYING":
            # Then it is told that something is under way, and no more where nobody can be asked.
            return
        told = self.stood[one.reservation_id]
        known = max((place for at, place in told if at < one.invoked_ns), default=-1)
        place = max((at for at, each in enumerate(story) if each == status), default=-1)
        if place < known:
            self.bad("I19", "non-monotonic read", one, f"{status} after {story[known]}")

    def check_refused(self, one: Exchange, answer: Answer) -> None:
        """Whoever was told that he has bought something is not told that nobody has paid."""
        if answer.get("reason") == "NOT_PAID" and self.was_sold(one):
            self.bad("I19", "forgotten", one, "it was sold before, and paid for")

    def check_starts(self, decided: Mapping[tuple[int, str], Known]) -> None:
        """Judge each start with its repeats, which the log knows by user and key.

        decided: the highest offset that was told of before a moment, by event and section.
        """
        for stem, tries in self.starts.items():
            first, _ = tries[0]
            subject = first.reservation_id
            own = [
                offset
                for offset, fields in self.traces.commands.get(subject, ())
                # Payments sell and give back in the buyer's name.
                if fields["request"]["correlationId"] == stem and "method" in fields
            ]
            taken = [
                one
                for one, answer in tries
                if one.kind(answer) is not Kind.REFUSED or answer.get("decided")
            ]
            if len(own) > len(taken):
                self.bad("I20", "appended twice", first, f"at {own} for {len(taken)} requests")
            known = decided.get((first.event_id, first.section))
            if own and known is not None and own[0] <= known.at(first.invoked_ns):
                self.bad("I19", "reordered", first, f"offset {own[0]} after what was told")
            self.check_repeats(subject, stem, tries)

    def check_repeats(
        self, subject: str, stem: str, tries: Sequence[tuple[Exchange, Answer]]
    ) -> None:
        """A repeat is told the same: one refusal, and none after the payment was started."""
        refused = [(one, answer) for one, answer in tries if answer.get("decided")]
        started = [
            offset_of(fields["outcomeId"])
            for name, fields in self.outcomes(subject)
            if name in {"PaymentStarted", "ReservationConfirmed"}
            and fields["request"]["correlationId"] == stem
        ]
        for one, answer in refused:
            reason, at = answer["reason"], offset_of(answer["outcome_id"])
            if reason != refused[0][1]["reason"]:
                self.bad("I20", "another answer", one, f"{reason}, and before {refused[0][1]}")
            elif started and at > started[0]:
                self.bad("I20", "another answer", one, f"{reason}, and it was started before")
