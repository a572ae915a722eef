"""Words of the payments role about orders, and the routes that act on them, in memory."""

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.issued.purchase import IssuedPurchase
from state.domain.keys import ISSUED, buyer_key, partition_of
from state.records.commands import CommandEncoders
from state.records.issued.codecs import IssuingCodecs, issued_purchase
from state.records.names import SoldSeats
from state.records.payment_codecs import PaymentCodecs
from streams.driver import TopologyDriver
from streams.issue_purchases import route
from topology import ISSUING

IDS = counted_ids()
CODECS = IssuingCodecs.of(IDS)
PAYMENTS = PaymentCodecs.of(IDS)
COMMANDS = CommandEncoders(IDS)
SOURCE = PURCHASE_CONFIRMED.name
TO = PURCHASE_CREATED.name
PARTITIONS = 4
EVENT = 7


def word(
    reservation: str = "r1",
    turns: int = 3,
    *,
    is_valid: bool = True,
    user: str = "ann",
    event: int = EVENT,
    seats: tuple[tuple[int, int, int], ...] = ((2, 5, 2),),
    also: tuple[SoldSeats, ...] = (),
) -> tuple[bytes, bytes]:
    """Return key and value of a word about an order; what it says follows from its arguments.

    seats: of the order's section. also: of others, as of a cart.
    """
    encode = PAYMENTS.confirmed if is_valid else PAYMENTS.revoked
    identity = COMMANDS.identity(reservation, user, "A-1", event, "ticket")
    order_id = f"{reservation}.1.0".encode()
    sold = *((b"A-1", *one) for one in seats), *also
    value = encode(identity, order_id, turns, 9_000, b"EUR", b"BK-1-00000000", sold, 1_000 * turns)
    return buyer_key(event, user.encode()), value


class Issuing:
    """A driver of the role that issues."""

    def __init__(self) -> None:
        self.driver = TopologyDriver([route(ISSUING, CODECS)], partitions=PARTITIONS)
        self._told = TopicDecoder(PURCHASE_CREATED, IDS)

    def hears(
        self, key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        self.driver.pipe(SOURCE, key, value, headers=headers)

    def purchases(self) -> list[IssuedPurchase]:
        """Return all that is stored."""
        return [
            issued_purchase(stored)
            for partition in range(PARTITIONS)
            for key, stored in self.driver.stored(SOURCE, partition).items()
            if key.startswith(ISSUED)
        ]

    def purchase(self, user: str = "ann", event: int = EVENT) -> IssuedPurchase:
        """Return the purchase of a buyer and event: there is one."""
        key = buyer_key(event, user.encode())
        partition = partition_of(key, PARTITIONS)
        [found] = [
            issued_purchase(stored)
            for stored_key, stored in self.driver.stored(SOURCE, partition).items()
            if stored_key.startswith(ISSUED)
            and issued_purchase(stored)[1:3] == (user.encode(), event)
        ]
        return found

    def told(self) -> list[str]:
        """Return the short names of what was told since the last look."""
        names = []
        for record in self.driver.read(TO):
            said = self._told.decode(record.value, record.headers)
            assert isinstance(said, Decoded), said
            names.append(said.name.rpartition(".")[2])
        return names
