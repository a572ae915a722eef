"""What a seating plan says once it is read: sections, rows and seats, whatever its file format.

A plan that does not fit is refused with `PlanFault`, which names the place of the first fault.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import NamedTuple

from anyascii import anyascii

from state.domain.layout import Row, SeatRange
from state.domain.price import UNPRICED, PriceList

SECTION_ID = re.compile(r"[A-Z0-9-]{1,32}")
SEATS_PER_ROW_MAX = 1000
# Far more than any venue has. Thirty bytes of a short form can ask for a million seats.
SEATS_MAX = 500_000
LABEL_BYTES_MAX = 64
INT_MAX = 2**31 - 1

# A record of the command topic may have 64 kB; identity, rules and header get a share of it.
RECORD_BYTES_MAX = 64 * 1024
IDENTITY_BYTES = 512

REMEDY_BY_PART = {
    "labels of its seats": (
        "Split the zone in two, or number its seats in steps so that labels need no list"
    ),
    "categories of its seats": (
        "Split the zone in two, shorten the names of its categories, or give each row one category"
    ),
    "aisles": "Split the zone in two",
    "seats that are not for sale": "Split the zone in two, or leave those seats out of the plan",
    "prices": "Split the zone in two, or shorten the names of its categories",
    "rows": "Split the zone in two, or shorten the names of its rows and categories",
}


class PlanFault(ValueError):
    """The plan does not fit.

    path:   where, as `zones[3].rows[2].seats[17].seat_guid`; empty for the whole file.
    fault:  what is wrong there.
    remedy: Operator action: what to change in the file.
    """

    def __init__(self, path: str, fault: str, remedy: str) -> None:
        self.path = path
        self.fault = fault
        self.remedy = remedy
        place = f"{path}: " if path else ""
        super().__init__(f"{place}{fault}. {remedy}")


@dataclass(frozen=True, slots=True)
class SectionPlan:
    """The seats sold together under one id.

    path:         where in the file the section stands, for messages.
    not_for_sale: seats that are opened as blocked.
    prices:       of the categories of its seats.
    """

    section: str
    name: str
    rows: tuple[Row, ...]
    path: str
    not_for_sale: tuple[SeatRange, ...] = ()
    prices: PriceList = UNPRICED

    @property
    def seat_count(self) -> int:
        """Return the number of seats."""
        return sum(row.seat_count for row in self.rows)

    @property
    def not_for_sale_count(self) -> int:
        """Return the number of seats that are opened as blocked."""
        return sum(seats.seat_count for seats in self.not_for_sale)

    @property
    def aisle_count(self) -> int:
        """Return the number of places where two seats of a row are no neighbours."""
        return sum(len(row.aisles) for row in self.rows)


class SeatPlace(NamedTuple):
    """Where a seat of the file stands: section id, row index, seat index."""

    section: str
    row: int
    seat: int


@dataclass(frozen=True, slots=True)
class SeatingPlan:
    """All sections of one venue.

    place_by_guid: for every seat of the file, its id there -> where it stands here.
    categories:    every category that the file names.
    notes:         what the reader had to decide and a person should look at, one line each.
    prices:        as the file has them, of any of the categories.
    """

    name: str
    sections: tuple[SectionPlan, ...]
    place_by_guid: Mapping[str, SeatPlace] = field(repr=False)
    categories: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    prices: PriceList = UNPRICED

    @property
    def seat_count(self) -> int:
        """Return the number of seats of all sections."""
        return sum(section.seat_count for section in self.sections)


def without_sale(plan: SeatingPlan, categories: Collection[str]) -> SeatingPlan:
    """Return the plan with the seats of these categories not for sale.

    The empty text stands for seats without a category. Raises PlanFault for a category that the
    plan does not name: a mistyped one would put its seats on sale.
    """
    for name in categories:
        if name and name not in plan.categories:
            raise PlanFault(
                "categories",
                f"{shown(name)} is not a category of the plan",
                f"Known are {', '.join(sorted(map(shown, plan.categories))) or 'none'}",
            )
    sections = tuple(
        replace(section, not_for_sale=tuple(seats_of(section, frozenset(categories))))
        for section in plan.sections
    )
    for section in sections:
        check_record_size(section)
    return replace(plan, sections=sections)


def seats_of(section: SectionPlan, categories: Collection[str]) -> list[SeatRange]:
    """Return the seats of these categories, and those that are not for sale already."""
    found: list[SeatRange] = []
    for index, row in enumerate(section.rows):
        blocked = {
            seat
            for row_index, first, count in section.not_for_sale
            if row_index == index
            for seat in range(first, first + count)
        }
        of_seat = row.seat_categories or (row.category,) * row.seat_count
        chosen = [seat in blocked or name in categories for seat, name in enumerate(of_seat)]
        seat = 0
        for is_chosen, run in groupby(chosen):
            count = len(list(run))
            if is_chosen:
                found.append(SeatRange(index, seat, count))
            seat += count
    return found


def row_of(
    label: str,
    seat_labels: Sequence[str],
    aisles: Sequence[int],
    seat_categories: Sequence[str],
) -> Row:
    """Build a row, in the shortest form that keeps every label and category."""
    numbering = number_run(seat_labels)
    first_number, number_step = numbering or (1, 1)
    mixed = len(set(seat_categories)) > 1
    return Row(
        label=label,
        seat_count=len(seat_labels),
        first_number=first_number,
        number_step=number_step,
        seat_labels=() if numbering else tuple(seat_labels),
        aisles=tuple(aisles),
        category="" if mixed else seat_categories[0],
        seat_categories=tuple(seat_categories) if mixed else (),
    )


def number_run(labels: Sequence[str]) -> tuple[int, int] | None:
    """Return first number and step when the labels are an arithmetic run, else None.

    Only numbers that print as they are written count: "07" and "1e3" are labels, not numbers.
    """
    numbers: list[int] = []
    for label in labels:
        if not re.fullmatch(r"0|-?[1-9][0-9]{0,9}", label) or abs(int(label)) > INT_MAX:
            return None
        numbers.append(int(label))
    steps = {right - left for left, right in pairwise(numbers)}
    if len(steps) > 1 or any(abs(step) > INT_MAX for step in steps):
        return None
    return numbers[0], steps.pop() if steps else 1


def section_id(text: str, path: str) -> str:
    """Return the section id that a zone's id or name stands for.

    Letters and digits of any script are written in A-Z and 0-9, every run of other characters
    becomes one `-`, and what is longer than 32 is cut. The same text always gives the same id.
    """
    plain = "".join(
        anyascii(character) if unicodedata.category(character)[0] in "LMN" else "-"
        for character in unicodedata.normalize("NFKC", text)
    )
    derived = re.sub(r"[^A-Z0-9]+", "-", plain.upper()).strip("-")[:32].strip("-")
    if not derived:
        raise PlanFault(
            path,
            f"{shown(text)} holds no letter or digit to make a section id of",
            "Give the zone a zone_id such as 'BALCONY-2'",
        )
    return derived


def check_label(label: str, path: str) -> str:
    """Return the label of a row or a seat, or refuse one that is too long for a ticket."""
    size = len(label.encode())
    if size > LABEL_BYTES_MAX:
        fault = f"a label has at most {LABEL_BYTES_MAX} bytes, this one has {size}"
        raise PlanFault(path, fault, "Shorten the label")
    return label


def check_seat_count(seats: int, path: str) -> None:
    """Refuse a plan with more seats than a process can hold at once.

    seats: all that were counted so far, those of the section at `path` included.
    """
    if seats > SEATS_MAX:
        raise PlanFault(
            path,
            f"the sections up to this one have more than {SEATS_MAX} seats together",
            "Open the venue as two events",
        )


def check_record_size(section: SectionPlan) -> None:
    """Refuse a section whose layout does not fit into one record of the command topic."""
    # Every count and number is taken as the longest varint of an int, 5 bytes.
    rows = section.rows
    size_by_part = {
        "labels of its seats": sum(text_bytes(row.seat_labels) for row in rows),
        "categories of its seats": sum(text_bytes(row.seat_categories) for row in rows),
        "aisles": sum(5 * len(row.aisles) for row in rows),
        "seats that are not for sale": 15 * len(section.not_for_sale),
        "prices": sum(10 + text_bytes((name,)) for name, _ in section.prices.amounts),
        "rows": sum(35 + text_bytes((row.label, row.category)) for row in rows),
    }
    size = IDENTITY_BYTES + sum(size_by_part.values())
    if size > RECORD_BYTES_MAX:
        largest = max(size_by_part, key=lambda part: size_by_part[part])
        raise PlanFault(
            section.path,
            f"section {section.section} needs a record of {size} bytes, {size_by_part[largest]} of"
            f" them for the {largest}; the limit is {RECORD_BYTES_MAX}",
            REMEDY_BY_PART[largest],
        )


def text_bytes(texts: Sequence[str]) -> int:
    """Return the size of texts as Avro, at most."""
    return sum(2 + len(text.encode()) for text in texts)


def shown(value: object) -> str:
    """Return a value of the file as one short printable piece of a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
