"""What a seating plan says once it is read: sections, rows and seats, whatever its file format.

A plan that does not fit is refused with `PlanFault`, which names the place of the first fault.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SECTION_ID = re.compile(r"[A-Z0-9-]{1,32}")
SEATS_PER_ROW_MAX = 1000
LABEL_BYTES_MAX = 64
INT_MAX = 2**31 - 1

# A record of the command topic may have 64 kB; identity, rules and header get a share of it.
RECORD_BYTES_MAX = 64 * 1024
IDENTITY_BYTES = 512


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
class RowPlan:
    """One row, front row first in its section.

    aisles:          ascending seat indexes i >= 1; seats i - 1 and i are not neighbours.
    seat_labels:     one a seat where the numbers follow no step, else empty.
    seat_categories: one a seat where the row mixes categories, else empty.
    """

    label: str
    seat_count: int
    first_number: int = 1
    number_step: int = 1
    seat_labels: tuple[str, ...] = ()
    aisles: tuple[int, ...] = ()
    category: str = ""
    seat_categories: tuple[str, ...] = ()

    def seat_label(self, seat: int) -> str:
        """Return what the ticket calls the seat at this index."""
        if self.seat_labels:
            return self.seat_labels[seat]
        return str(self.first_number + seat * self.number_step)


@dataclass(frozen=True, slots=True)
class SectionPlan:
    """The seats sold together under one id.

    path: where in the file the section stands, for messages.
    """

    section: str
    name: str
    rows: tuple[RowPlan, ...]
    path: str

    @property
    def seat_count(self) -> int:
        """Return the number of seats."""
        return sum(row.seat_count for row in self.rows)


@dataclass(frozen=True, slots=True)
class SeatPlace:
    """Where a seat of the file stands: section id, row index, seat index."""

    section: str
    row: int
    seat: int


@dataclass(frozen=True, slots=True)
class SeatingPlan:
    """All sections of one venue.

    place_by_guid: for every seat of the file, its id there -> where it stands here.
    """

    name: str
    sections: tuple[SectionPlan, ...]
    place_by_guid: Mapping[str, SeatPlace] = field(repr=False)

    @property
    def seat_count(self) -> int:
        """Return the number of seats of all sections."""
        return sum(section.seat_count for section in self.sections)


def row_of(
    label: str,
    seat_labels: Sequence[str],
    aisles: Sequence[int],
    seat_categories: Sequence[str],
) -> RowPlan:
    """Build a row, in the shortest form that keeps every label and category."""
    numbering = number_run(seat_labels)
    first_number, number_step = numbering or (1, 1)
    mixed = len(set(seat_categories)) > 1
    return RowPlan(
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

    Accents are dropped, letters made capital, every run of other characters becomes one `-`, and
    what is longer than 32 is cut. The same text always gives the same id.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    derived = re.sub(r"[^A-Z0-9]+", "-", plain.upper()).strip("-")[:32].strip("-")
    if not derived:
        raise PlanFault(
            path,
            f"{shown(text)} holds no letter A-Z or digit to make a section id of",
            "Give the zone a zone_id such as 'BALCONY-2'",
        )
    return derived


def check_label(label: str, path: str) -> str:
    """Return the label, or refuse one that no ticket can show."""
    if not label or len(label.encode()) > LABEL_BYTES_MAX:
        raise PlanFault(
            path,
            f"a label has 1 to {LABEL_BYTES_MAX} bytes, this one has {len(label.encode())}",
            "Shorten the label, or fill it in",
        )
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in label):
        raise PlanFault(path, "control character in a label", "Remove it")
    return label


def check_record_size(section: SectionPlan) -> None:
    """Refuse a section whose layout does not fit into one record of the command topic."""
    size = IDENTITY_BYTES + sum(row_bytes(row) for row in section.rows)
    if size > RECORD_BYTES_MAX:
        raise PlanFault(
            section.path,
            f"section {section.section} needs a record of {size} bytes,"
            f" the limit is {RECORD_BYTES_MAX}",
            "Split the zone in two, or number its seats in steps so that labels need no list",
        )


def row_bytes(row: RowPlan) -> int:
    """Return an upper bound of the row's size as Avro."""
    # Every count and number is taken as the longest varint of an int, 5 bytes.
    texts = (row.label, row.category, *row.seat_labels, *row.seat_categories)
    return 35 + 5 * len(row.aisles) + sum(2 + len(text.encode()) for text in texts)


def shown(value: object) -> str:
    """Return a value of the file as one short printable piece of a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
