"""Events of the four workers after the money: one for each of so many buyers, all of one event.

Their keys and ids are those that the worker before would give them.
"""

from collections.abc import Callable, Iterator

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED, Topic
from scripts.traffic.sending import CommandEncoders
from serdes.registry.ids import SchemaIds
from state.domain.issued.purchase import IssuedOrder, purchase_id
from state.domain.keys import buyer_key, partition_of
from state.records.issued.codecs import IssuingCodecs
from state.records.payment_codecs import PaymentCodecs

Event = tuple[bytes, bytes]
"""Key and value."""

EVENT_ID = 7
SECTION = b"A-1"
AMOUNT = 9_000


class Events:
    """Makes the events of each topic, by the schema ids of a registry."""

    def __init__(self, ids: SchemaIds) -> None:
        self._commands = CommandEncoders(ids)
        self._payments = PaymentCodecs.of(ids)
        self._issuing = IssuingCodecs.of(ids)
        self._of: dict[Topic, Callable[[int], Event]] = {
            PURCHASE_CONFIRMED: self._confirmed,
            PURCHASE_CREATED: self._created,
            SEATS_ALLOCATED: self._allocated,
        }

    def of(self, topic: Topic, count: int) -> Iterator[Event]:
        """Yield so many events of a topic."""
        make = self._of[topic]
        return (make(number) for number in range(count))

    def _confirmed(self, number: int) -> Event:
        user, order = user_of(number), order_of(number)
        identity = self._commands.identity(
            order.reservation_id.decode(), user, SECTION.decode(), EVENT_ID, "ticket"
        )
        said = order.order_id, order.turns, order.amount, order.currency, order.booking_number
        value = self._payments.confirmed(identity, *said, order.seats, order.changed_at_ms)
        return buyer_key(EVENT_ID, user.encode()), value

    def _created(self, number: int) -> Event:
        key, head = _head(number)
        return key, self._issuing.created(*head, order_of(number))

    def _allocated(self, number: int) -> Event:
        key, head = _head(number)
        return key, self._issuing.allocated(*head, b"al-%d" % number, b"approved")


def user_of(number: int) -> str:
    """Return the user of a number."""
    return f"buyer-{number}"


def order_of(number: int) -> IssuedOrder:
    """Return what a buyer has paid for: two seats."""
    reservation = b"r-%d" % number
    seats = ((SECTION, number % 100, 0, 2),)
    return IssuedOrder(
        *(reservation + b".1.0", reservation, 3, True, AMOUNT, b"EUR", b"BK-1-00000000"),
        *(seats, 1_000),
    )


def _head(number: int) -> tuple[bytes, tuple[bytes, bytes, int, int]]:
    user = user_of(number).encode()
    key = buyer_key(EVENT_ID, user)
    place = partition_of(key, PURCHASE_CREATED.partitions)
    own_id = purchase_id(user, EVENT_ID, place).encode()
    return key, (own_id, user, EVENT_ID, order_of(number).turns)
