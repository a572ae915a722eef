"""I3, I4: each seat has one holder at most, and a reservation has its seats whole or not at all.

Followed through the outcomes alone, without the oracle's decisions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.auditing.facts import Facts, Told
from scripts.auditing.oracle.seats import places_of
from scripts.auditing.report import Notes

Seat = tuple[str, int, int]  # key of its section, row, seat


def check(facts: Facts, notes: Notes) -> None:
    """Follow every seat; note who is given what somebody else has."""
    holders = Holders(notes)
    for told in facts.followed:
        change = CHANGES.get(told.name)
        if change is not None:
            key = told.section_key
            change(
                holders, told, {(key, row, seat) for row, seat in places_of(told.fields["seats"])}
            )


@dataclass(slots=True)
class Holders:
    """Who has each seat: a reservation id, or nothing for a seat that is blocked."""

    notes: Notes
    holders: dict[Seat, str] = field(default_factory=dict)
    sold: set[Seat] = field(default_factory=set)

    def hold(self, told: Told, seats: set[Seat]) -> None:
        """Give free seats to a reservation."""
        self._take(told, seats, told.fields["request"]["reservationId"])

    def confirm(self, told: Told, seats: set[Seat]) -> None:
        """Sell seats to who holds them, or to who held them, if they are free again."""
        reservation = told.fields["request"]["reservationId"]
        if told.fields["reacquired"]:
            self._take(told, seats, reservation)
        else:
            self._must_have(told, seats, reservation, "sells seats that it has not")
        twice = seats & self.sold
        self.notes.report.sold_twice += len(twice)
        if twice:
            self.notes.bad("I3", "sold twice", told.at, f"{sorted(twice)}", **told.where)
        self.sold |= seats
        self.holders.update(dict.fromkeys(seats, reservation))

    def release(self, told: Told, seats: set[Seat]) -> None:
        """Take seats back from who holds them."""
        reservation = told.fields["request"]["reservationId"]
        for seat in self._must_have(told, seats, reservation, "frees seats that it has not"):
            del self.holders[seat]

    def refund(self, told: Told, seats: set[Seat]) -> None:
        """Take sold seats back from who has them."""
        unsold = seats - self.sold
        if unsold:
            message = f"refunds {sorted(unsold)}, which were not sold"
            self.notes.bad("I4", "torn reservation", told.at, message, **told.where)
        self.sold -= seats
        self.release(told, seats)

    def block(self, told: Told, seats: set[Seat]) -> None:
        """Give free seats to nobody."""
        self._take(told, seats, "")

    def unblock(self, _: Told, seats: set[Seat]) -> None:
        """Let seats be free again."""
        for seat in seats:
            self.holders.pop(seat, None)

    def _take(self, told: Told, seats: set[Seat], holder: str) -> None:
        taken = seats & self.holders.keys()
        if taken:
            message = f"{sorted(taken)} are taken already"
            self.notes.bad("I3", "two holders", told.at, message, **told.where)
        self.holders.update(dict.fromkeys(seats, holder))

    def _must_have(self, told: Told, seats: set[Seat], holder: str, what: str) -> set[Seat]:
        """Return those of the seats that the holder has, which must be all."""
        has = {seat for seat in seats if self.holders.get(seat) == holder}
        if has != seats:
            self.notes.bad("I4", "torn reservation", told.at, what, **told.where)
        return has


CHANGES: dict[str, Callable[[Holders, Told, set[Seat]], None]] = {
    "SeatsHeld": Holders.hold,
    "ReservationConfirmed": Holders.confirm,
    "ReservationReleased": Holders.release,
    "ReservationRefunded": Holders.refund,
    "SeatsBlocked": Holders.block,
    "SeatsUnblocked": Holders.unblock,
}
