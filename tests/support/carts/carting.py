"""The routes of carts and of their sections in memory, by short words."""

from collections.abc import Sequence
from typing import Any

from support.seats.section_commands import CODECS as SEAT_CODECS
from support.seats.section_commands import EVENT, IDS, Pair, open_section

import topology
from schemas.topics import CART_COMMANDS, SECTION_COMMANDS
from state.domain.carts.limits import UNLIMITED, Limits
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import Cart, Wanted
from state.domain.keys import CART, RESERVATION, cart_key, part_id, partition_of, section_key
from state.domain.reservation import Reservation, Status
from state.records.cart_codecs import CartCodecs
from state.records.carts import CartEncoders, cart_of
from state.records.reservation import read_reservation
from streams.change_sections import handler as seats
from streams.driver import TopologyDriver
from streams.hold_carts import handler as carts
from streams.route import Route

CODECS = CartCodecs.of(IDS)
PODS = CartEncoders(IDS)
CARTS, SEATS = CART_COMMANDS.name, SECTION_COMMANDS.name
PARTITIONS = 4
MINUTE_MS = 60_000
HOLD_MS = 10 * MINUTE_MS
# Three sections on three partitions.
SECTIONS = ("BLOCK-0", "BLOCK-1", "BLOCK-2")


def flow() -> tuple[Route, Route]:
    return seats.route(topology.SEATS, SEAT_CODECS, 1_000_000), carts.route(topology.CARTS, CODECS)


def cart_id_of(number: int = 0, user: str = "ann", partitions: int = PARTITIONS) -> str:
    """Return the id of a cart of a buyer's, as a pod would; number: from 0 to 63."""
    key = cart_key(EVENT, user.encode())
    stem = "a" * 24 + "abcdefgh"[number // 8] + "abcdefgh"[number % 8]
    return f"{stem}-{partition_of(key, partitions)}"


def best(section: str, count: int) -> Wanted:
    return section.encode(), count, (), False, ()


def party(section: str, count: int, *others: str) -> Wanted:
    """Return what a party wants that may be parted; others: where it may sit, too."""
    return section.encode(), count, (), True, tuple(other.encode() for other in others)


def open_cart(
    cart_id: str,
    *items: Wanted,
    user: str = "ann",
    on_failure: OnFailure = OnFailure.RELEASE,
    event: int = EVENT,
    limits: Limits = UNLIMITED,
) -> Pair:
    value = PODS.open_cart(cart_id, user, "c-1", event, on_failure, items, limits)
    return cart_key(event, user.encode()), value


def release_cart(cart_id: str, user: str = "ann") -> Pair:
    return cart_key(EVENT, user.encode()), PODS.release_cart(cart_id, user, "c-2", EVENT)


def extend_cart(cart_id: str, wish: str, user: str = "ann") -> Pair:
    return cart_key(EVENT, user.encode()), PODS.extend_cart(cart_id, user, wish, EVENT)


def pay_cart(
    cart_id: str,
    amount: int,
    user: str = "ann",
    *,
    currency: str = "EUR",
    wish: str = "w-pay",
    gateway: str = "mock",
) -> Pair:
    price, way = (amount, currency), (gateway, "card", b"")
    value = PODS.pay_cart(cart_id, user, wish, EVENT, price, way)
    return cart_key(EVENT, user.encode()), value


class Carting:
    """A driver of both routes; rows: seats of each section, drawn.

    relays: as the driver's. is_alone: nobody decides what sections are asked.
    """

    def __init__(
        self,
        rows: Sequence[str] = ("....",) * 3,
        *,
        relays: bool = True,
        is_alone: bool = False,
    ) -> None:
        played = flow()[1:] if is_alone else flow()
        self.driver = TopologyDriver(played, partitions=PARTITIONS, relays=relays)
        self.driver.advance(1)
        for section, row in zip(SECTIONS, rows, strict=False):
            self.driver.pipe(SEATS, *open_section(row, section=section, hold_ms=HOLD_MS))

    def send(self, *pairs: Pair) -> None:
        """Append records for carts."""
        for key, value in pairs:
            self.driver.pipe(CARTS, key, value)

    def ask(self, *pairs: Pair) -> None:
        """Append commands for sections, as somebody else might."""
        for key, value in pairs:
            self.driver.pipe(SEATS, key, value)

    def cart(self, cart_id: str, user: str = "ann") -> Cart:
        stored = self.driver.get(CARTS, cart_key(EVENT, user.encode()), CART + cart_id.encode())
        assert stored is not None
        return cart_of(stored)

    def part(self, cart_id: str, number: int, section: str) -> Reservation | None:
        """Return the reservation of a part, as its section has it."""
        key = RESERVATION + part_id(cart_id.encode(), number)
        stored = self.driver.get(SEATS, section_key(EVENT, section), key)
        return None if stored is None else read_reservation(SEAT_CODECS, stored)

    def truth(self, cart_id: str, *sections: str) -> list[Status]:
        """Return how the parts stand by their sections."""
        return [self.truth_of(cart_id, number, section) for number, section in enumerate(sections)]

    def truth_of(self, cart_id: str, number: int, section: str) -> Status:
        """Return how one part stands by its section."""
        found = self.part(cart_id, number, section)
        return Status.UNSPECIFIED if found is None else Status(found.status)

    def told(self, topic: str) -> list[Any]:
        return self.driver.read(topic)

    def relay_all(self) -> None:
        """Decide whatever lies undecided, until nothing does."""
        while any(
            self.driver.relay(topic, number)
            for topic in (SEATS, CARTS)
            for number in range(PARTITIONS)
        ):
            pass
