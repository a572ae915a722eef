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
from support.payments.shop import WIRE
from support.seats.section_commands import confirm, hold

from schemas.topics import RESERVATION_OUTCOMES, SECTION_STATUS
from scripts.auditing.log import Log, LogRecord, Records
from state.domain.carts.cart import OnFailure
from state.stores.envelope import order_of
from state.stores.memory import MemoryStore

A, B, C = SECTIONS
HELD, SPLIT, KEPT, RELEASED, SOLD = (cart_id_of(number) for number in range(5))
LAPSED = cart_id_of(5, "bob")


def sold_out() -> Carting:
    """Return a world in which a cart has gone every way there is; HELD is still held."""
    world = Carting(("........", "...", "........"))
    world.send(open_cart(LAPSED, best(A, 1), best(C, 1), user="bob"))
    world.driver.advance(HOLD_MS + MINUTE_MS, step_ms=MINUTE_MS // 2)
    world.send(open_cart(HELD, best(A, 2), (C.encode(), 2, ((0, 0), (0, 1)))))
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
