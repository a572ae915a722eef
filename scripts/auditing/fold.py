"""Seats and reservations followed through the outcomes alone, without the oracle's decisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scripts.auditing.model import FREE_BYTES_MAX, Oracle
from scripts.auditing.report import Notes, offset_of
from scripts.auditing.seats import places_of

# More than any section's record has room for: whoever wrote such an outcome, we count no further.
SEATS_MAX = 8 * FREE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class OutcomeFold:
    """What must hold among the outcomes of one partition.

    oracle: asked for nothing but which seats there are.
    """

    oracle: Oracle
    notes: Notes

    def follow(self, found: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Take the name and fields of every outcome, in order; note what cannot be."""
        holders: dict[tuple[str, int, int], str] = {}
        status: dict[str, tuple[str, int]] = {}
        sold: set[tuple[str, int, int]] = set()
        versions: dict[str, int] = {}
        windows: dict[str, tuple[int, int]] = {}
        seen: set[str] = set()
        for name, fields in found:
            if fields["outcomeId"] in seen:
                continue
            seen.add(fields["outcomeId"])
            request = fields["request"]
            section = f"{request['eventId']}-{request['section']}"
            reservation = request["reservationId"]
            where = {"reservation_id": reservation, "section": request["section"]}
            at = offset_of(fields["outcomeId"])
            before = status.get(reservation, ("", 0))
            parts = fields.get("seats", [])
            if sum(part["count"] for part in parts) > SEATS_MAX:
                self.notes.bad("I2", "unknown seat", at, "more seats than a section has", **where)
                continue
            seats = {(section, row, seat) for row, seat in places_of(parts)}
            mine = {seat for seat in seats if holders.get(seat) == reservation}
            epoch = fields.get("epoch", 0)
            changes = True
            if name == "SeatsHeld":
                self.check_taken(seats, holders, at, where)
                legal = before[0] == ""
                holders.update(dict.fromkeys(seats, reservation))
                status[reservation] = ("HELD", epoch)
            elif name == "ReservationConfirmed":
                legal = before == (
                    ("LAPSED", epoch - 1) if fields["reacquired"] else ("HELD", epoch)
                )
                if fields["reacquired"]:
                    self.check_taken(seats, holders, at, where)
                elif mine != seats:
                    self.notes.bad(
                        "I4", "torn reservation", at, "sells seats that it has not", **where
                    )
                twice = seats & sold
                self.notes.report.sold_twice += len(twice)
                if twice:
                    self.notes.bad("I3", "sold twice", at, f"{sorted(twice)}", **where)
                sold |= seats
                holders.update(dict.fromkeys(seats, reservation))
                status[reservation] = ("SOLD", epoch)
            elif name == "ReservationReleased":
                changes = epoch > 0
                legal = before == (("HELD", epoch) if epoch else ("", 0))
                if mine != seats:
                    self.notes.bad(
                        "I4", "torn reservation", at, "frees seats that it has not", **where
                    )
                for seat in mine:
                    del holders[seat]
                status[reservation] = (fields["cause"], epoch)
            elif name == "HoldExtended":
                legal, changes = before == ("HELD", epoch), False
            elif name == "ReservationRejected":
                # A record that went astray is refused, whatever the reservation is elsewhere.
                astray = fields["reason"] in {"KEY_MISMATCH", "WRONG_PARTITION"}
                legal, changes = astray or before[0] in {"", "CANCELLED"}, False
                if not astray:
                    status.setdefault(reservation, ("REJECTED", 0))
            else:
                legal = True
                changes = name in {"SeatsBlocked", "SeatsUnblocked"}
                if name == "SectionOpened":
                    changes = section not in versions
                elif name == "SeatsBlocked":
                    self.check_taken(seats, holders, at, where)
                    holders.update(dict.fromkeys(seats, ""))
                elif name == "SaleWindowChanged":
                    window = fields["saleStartsMs"], fields["saleEndsMs"]
                    # No outcome tells with which window a section was opened.
                    changes = (
                        window != windows[section]
                        if section in windows
                        else fields["version"] != versions.get(section)
                    )
                    windows[section] = window
                elif name == "SeatsUnblocked":
                    for seat in seats:
                        holders.pop(seat, None)
            if not legal:
                self.notes.bad(
                    "I7", "illegal transition", at, f"{before[0] or 'none'} to {name}", **where
                )
            known = versions.get(section)
            if changes and known is not None and fields["version"] != known + 1:
                self.notes.bad(
                    "I5",
                    "version gap",
                    at,
                    f"version {fields['version']} follows {known}",
                    **where,
                )
            if changes:
                versions[section] = fields["version"]
            self.check_exists(seats, at, where)

    def check_taken(
        self,
        seats: set[tuple[str, int, int]],
        holders: dict[tuple[str, int, int], str],
        at: int,
        where: dict[str, str],
    ) -> None:
        """Note seats that somebody else has at this moment."""
        taken = seats & holders.keys()
        if taken:
            self.notes.bad("I3", "two holders", at, f"{sorted(taken)} are taken already", **where)

    def check_exists(
        self, seats: set[tuple[str, int, int]], at: int, where: dict[str, str]
    ) -> None:
        """Note seats that no layout has."""
        for name, row, seat in seats:
            event_id, _, section_id = name.partition("-")
            section = self.oracle.sections.get((int(event_id), section_id))
            if section is None or not section.exists((row, seat)):
                self.notes.bad(
                    "I2", "unknown seat", at, f"row {row}, seat {seat} of {name}", **where
                )
