"""Sections as their owners tell them, and a fake of the owners for tests of those who ask."""

import asyncio
from collections.abc import Callable

from state.domain.keys import section_key
from state.domain.layout import Layout, Plan, Row
from state.domain.price import UNPRICED, PriceList
from state.owners.lookup import SectionRecords

ROWS = (
    Row("A", 10, aisles=(4,), category="gold"),
    Row("B", 3, seat_labels=("x", "y", "z"), seat_categories=("gold", "silver", "silver")),
    Row("C", 9, first_number=101, number_step=2, category="silver"),
)
PRICES = PriceList("EUR", (("gold", 4_500), ("silver", 0)))


def records(
    version: int = 1, *taken: tuple[int, int], rows: tuple[Row, ...] = ROWS
) -> SectionRecords:
    """Return a section in which these (row, seat) are held and all others free."""
    layout = Layout.of(rows)
    free = [(1 << seats) - 1 for seats in layout.seat_counts]
    for row, seat in taken:
        free[row] ^= 1 << seat
    return SectionRecords(
        plan=Plan(1, rows, prices=PRICES if rows is ROWS else UNPRICED),
        layout=layout,
        version=version,
        changed_at_ms=1_764_000_000_000 + version,
        free=tuple(free),
    )


class Owners:
    """Answers with what it is given; counts, waits and fails as it is told.

    gate:      look-ups wait for it; open at first.
    was_asked: set by the first look-up.
    """

    def __init__(self) -> None:
        self.sections: dict[bytes, SectionRecords] = {}
        self.asked: list[tuple[int, bytes]] = []
        self.error: Exception | None = None
        self.was_asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def tell(self, event_id: int, section: str, told: SectionRecords) -> None:
        self.sections[section_key(event_id, section)] = told

    async def section(self, partition: int, section_key: bytes) -> SectionRecords | None:
        self.asked.append((partition, section_key))
        self.was_asked.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.sections.get(section_key)


class Decided:
    """How far outcomes were read of all partitions, as it is told.

    is_told: the brokers say where the log ends; whatever `arrives` does has happened by then.
    """

    def __init__(self) -> None:
        self.offset = 0
        self.is_told = True
        self.asked = 0
        self.arrives: Callable[[], None] = _nothing
        self.partitions = 20

    def now_ns(self) -> int:
        return 0

    def decided(self, _: int) -> int:
        return self.offset

    async def knows_since(self, _: int, asked_ns: int, timeout_s: float) -> bool:  # noqa: ARG002
        self.asked += 1
        await asyncio.sleep(0)
        self.arrives()
        return self.is_told


def _nothing() -> None:
    pass
