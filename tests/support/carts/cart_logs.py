"""What carts and their sections leave in the topics, for the auditor."""

from support.carts.carting import (
    CARTS,
    HOLD_MS,
    MINUTE_MS,
    PARTITIONS,
    SEATS,
    SECTIONS,
    Carting,
    best,
    cart_id_of,
    extend_cart,
    open_cart,
    release_cart,
)
from support.carts.paid_carts import PAYMENT_MS, PAYMENTS, PaidCarts, id_of, user_of
from support.logs.audit_logs import letter_headers
from support.payments.shop import WIRE
from support.seats.section_commands import confirm, hold

from schemas.topics import (
    PAYMENT_EVENTS,
    PURCHASE_CONFIRMED,
    RESERVATION_OUTCOMES,
    SECTION_STATUS,
)
from scripts.auditing.log import Log
from scripts.auditing.topics import LogRecord, Records
from state.domain.carts.statuses import OnFailure
from state.stores.envelope import order_of
from state.stores.memory import MemoryStore
from streams.driver import PipedRecord

A, B, C = SECTIONS
HELD, SPLIT, KEPT, RELEASED, SOLD = (cart_id_of(number) for number in range(5))
LAPSED = cart_id_of(5, "bob")


def sold_out() -> Carting:
    """Return a world in which a cart has gone every way there is; HELD is still held."""
    world = Carting(("........", "...", "........"))
    world.send(open_cart(LAPSED, best(A, 1), best(C, 1), user="bob"))
    world.driver.advance(HOLD_MS + MINUTE_MS, step_ms=MINUTE_MS // 2)
    world.send(open_cart(HELD, best(A, 2), (C.encode(), 2, ((0, 0), (0, 1)), False, ())))
    world.send(extend_cart(HELD, "w"))
    world.send(open_cart(SPLIT, best(A, 2), best(B, 4)))
    world.send(open_cart(KEPT, best(B, 3), best(B, 1), on_failure=OnFailure.KEEP))
    world.send(open_cart(RELEASED, best(A, 1), best(C, 1)), release_cart(RELEASED))
    world.send(open_cart(SOLD, best(C, 2)))
    world.ask(confirm(f"{SOLD}_0", section=C), hold("r1", 1, section=A))
    return world


def log_of(world: Carting) -> Log:
    """Return all topics as they would lie on a broker."""
    log = Log(WIRE, PARTITIONS)
    log.commands, log.carts = records(world, SEATS), records(world, CARTS)
    log.outcomes = records(world, RESERVATION_OUTCOMES.name)
    log.statuses = records(world, SECTION_STATUS.name)
    log.changelog, log.carts_state = changelog(world, SEATS), changelog(world, CARTS)
    return log


def log_with_payments(world: PaidCarts) -> Log:
    """Return all topics, with those of payments; the gateway's ledger cannot be read."""
    log = log_of(world)
    log.payments, log.told = records(world, PAYMENTS), records(world, PAYMENT_EVENTS.name)
    log.purchases = changelog(world, PAYMENTS)
    log.confirmed = records(world, PURCHASE_CONFIRMED.name)
    for number in range(PARTITIONS):
        log.dead_letters[number] = []
    for letter in world.driver.dead_letters:
        original = letter.record
        assert isinstance(original, PipedRecord)
        place, reason = original.partition, letter.reason.encode()
        headers = dict(letter_headers(place, original.offset, reason))
        headers["dead-letter-topic"] = original.topic.encode()
        listed = log.dead_letters[place]
        told = LogRecord(len(listed), 0, original.key, original.value, (*headers.items(),))
        listed.append(told)
    return log


def paid() -> PaidCarts:
    """Return a world in which payments of carts have gone every way there is, and are at rest.

    Cart 0 is sold, 1 declined, 2 refunded, 3 was paid for when the seats of a part were gone.
    """
    world = PaidCarts(("......",) * 3, (4_000, 0, 2_500))
    first, second, third = SECTIONS
    for number, how in enumerate(("answered", "declined", "answered")):
        user = user_of(number)
        world.send(open_cart(id_of(number), best(first, 1), best(second, 2), user=user))
        world.relay_all()
        world.pay(id_of(number), user)
        world.answer_all(how)
    world.want_refund(id_of(2), user_of(2), first)
    world.answer_all()
    late = id_of(3)
    world.send(open_cart(late, best(first, 1), best(third, 3), user=user_of(3)))
    world.relay_all()
    world.pay(late, user_of(3))
    world.relay_all()
    world.pass_time(PAYMENT_MS)
    [charge] = world.driver.intents(PAYMENTS, due=True)
    world.answer(charge, "away")
    world.pass_time(5_000)
    world.answer_all()
    world.ask(hold("other", 5, section=third))
    world.ledger.charge(world.order(late), 4_000 + 3 * 2_500)
    world.hint(late)
    world.answer_all()
    world.settle()
    world.check()
    return world


def records(world: Carting, topic: str) -> Records:
    return {
        number: [
            LogRecord(record.offset, record.timestamp, record.key, record.value)
            for record in world.driver.log(topic, number)
        ]
        for number in range(PARTITIONS)
    }


def changelog(world: Carting, topic: str) -> Records:
    found: Records = {}
    for number in range(PARTITIONS):
        store = world.driver.state(topic, number).store
        assert isinstance(store, MemoryStore)
        # As compaction would leave them: in the order in which they were written.
        items = sorted(store.stored.items(), key=lambda stored: order_of(stored[1]))
        found[number] = [LogRecord(at, 0, key, value) for at, (key, value) in enumerate(items)]
    return found
