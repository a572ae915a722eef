"""The sections that are sold in a benchmark, and the commands that are sent to them."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from scripts.traffic.sending import CommandEncoders
from state.domain.keys import section_key
from state.domain.layout import Row, Rules
from state.domain.price import UNPRICED, PriceList
from state.plans.seating import SectionPlan

EVENT_ID = 1
PARTY_SIZES = (1, 2, 3, 4)
# Long enough that no hold lapses while anything is measured.
RULES = Rules(hold_ms=4 * 3600_000, max_hold_ms=8 * 3600_000)

# Any moment will do; a fixed one makes the commands a function of the seed alone.
_IDS_BEGIN_MS = 1_800_000_000_000
_COMMANDS_PER_MS = 100


@dataclass(frozen=True, slots=True)
class Arena:
    """Sections of equal rows.

    price: of every seat, in cents; 0 for seats without one.
    """

    sections: int
    rows: int = 100
    seats_per_row: int = 50
    price: int = 0

    @property
    def seats(self) -> int:
        """Return the number of seats of all sections."""
        return self.sections * self.rows * self.seats_per_row

    def names(self) -> list[str]:
        """Return the section ids."""
        return [f"S{number:04d}" for number in range(self.sections)]


class Command(NamedTuple):
    """One record for the command topic."""

    reservation_id: str
    key: bytes
    value: bytes


def openings(arena: Arena, encoders: CommandEncoders) -> Iterator[Command]:
    """Yield the command that opens each section."""
    category = "all" if arena.price else ""
    prices = PriceList("EUR", ((category, arena.price),)) if arena.price else UNPRICED
    rows = tuple(
        Row(f"R{row + 1}", arena.seats_per_row, category=category) for row in range(arena.rows)
    )
    for name in arena.names():
        command_id = f"open-{name}"
        identity = encoders.identity(command_id, "operator", name, EVENT_ID)
        plan = SectionPlan(section=name, name=name, rows=rows, path="", prices=prices)
        yield Command(
            command_id, section_key(EVENT_ID, name), encoders.open_section(identity, plan, RULES)
        )


@dataclass(frozen=True, slots=True)
class Holds:
    """Best-available holds of 1 to 4 seats, in sections drawn at random.

    count:       commands in all, releases included.
    seed:        the same seed gives the same commands.
    first:       number of the first one; ids made later in time order have higher numbers.
    is_random:   ids as UUIDv4, without order; otherwise as UUIDv7, by time.
    outstanding: a hold is released when so many later ones were sent; 0: none is released.
    """

    arena: Arena
    count: int
    seed: str
    first: int = 0
    is_random: bool = False
    outstanding: int = 0

    def commands(self, encoders: CommandEncoders) -> Iterator[Command]:
        """Yield the commands in the order they are sent."""
        random = Random(self.seed)
        names = self.arena.names()
        held: deque[tuple[str, bytes, bytes]] = deque()
        make_id = _random_id if self.is_random else _ordered_id
        for number in range(self.first, self.first + self.count):
            if self.outstanding and len(held) > self.outstanding:
                reservation_id, key, identity = held.popleft()
                yield Command(reservation_id, key, encoders.release(identity))
                continue
            name = names[random.randrange(len(names))]
            reservation_id = make_id(random, number)
            identity = encoders.identity(
                reservation_id,
                f"user-{random.randrange(1_000_000):06d}",
                name,
                EVENT_ID,
                f"{random.getrandbits(64):016x}",
            )
            key = section_key(EVENT_ID, name)
            if self.outstanding:
                held.append((reservation_id, key, identity))
            seat_count = PARTY_SIZES[random.randrange(len(PARTY_SIZES))]
            yield Command(reservation_id, key, encoders.hold_best(identity, seat_count))


def _ordered_id(random: Random, number: int) -> str:
    """Return an id in the form of UUIDv7: 48 bits of time first."""
    time_ms = _IDS_BEGIN_MS + number // _COMMANDS_PER_MS
    bits = time_ms << 80 | 7 << 76 | random.getrandbits(12) << 64 | 2 << 62
    return _dashed(bits | random.getrandbits(62))


def _random_id(random: Random, _: int) -> str:
    """Return an id in the form of UUIDv4."""
    bits = random.getrandbits(48) << 80 | 4 << 76 | random.getrandbits(12) << 64 | 2 << 62
    return _dashed(bits | random.getrandbits(62))


def _dashed(bits: int) -> str:
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
