"""Carts on a real broker: their worker dies, a section is set aside, others want the same seats.

What one partition asks of another goes there in the transaction that decided it: whatever dies, no
cart is half held, and nothing is asked that was not decided.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import FAST_SESSIONS
from integration.seat_workers import Seats
from integration.workers import producing
from support.carts.carting import (
    SECTIONS,
    best,
    cart_id_of,
    extend_cart,
    open_cart,
    party,
    release_cart,
)
from support.seats.section_commands import PARTITIONS, Pair, hold, open_section, sections_of

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import CART_COMMANDS, SEATS_CHANGELOG, SECTION_COMMANDS
from scripts.auditing.carts import read_carts
from scripts.auditing.checks import audit
from scripts.auditing.report import Report, as_text
from state.domain.keys import part_id, partition_of
from state.stores.rocksdb import RocksDBStores, StoreMemory

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PATIENCE_S = 150.0
"""Bound of each wait: a machine may be many times slower than ours."""

A, B, C = SECTIONS
# Two on one partition, one of them with short holds, and one on a partition of its own.
(_, HERE, HASTY), (_, AWAY) = sections_of(1, 3), sections_of(2, 2)
# Two whose seats are not enough for all who want them.
LEFT, RIGHT = sections_of(3, 2)[1], sections_of(0, 2)[1]
# Where each life of the worker ends: at this step of so manieth transaction. The first ones of a
# life take carts on, hold seats, tell carts, give back, tell them again.
BUYERS = ("ann", "bob", "eve")
DEATHS = (
    ("decided", 2),
    ("transaction_begun", 3),
    ("records_produced", 3),
    ("offsets_added", 1),
    ("commit_requested", 4),
    ("commit_acknowledged", 2),
    ("store_written", 4),
)


class Box:
    """Three sections on three partitions, and the worker of seats and carts."""

    def __init__(self, seats: Seats) -> None:
        self.seats = seats
        seats.environment |= {"SEATSTREAM_ROLES": "seats,carts"}
        for section, row in zip(SECTIONS, ("." * 80, "...", "." * 100), strict=True):
            seats.send(open_section(row, section=section))
        hasty: dict[str, Any] = {"hold_ms": 1_500, "max_hold_ms": 1_500}
        seats.send(
            open_section("." * 40, section=HERE),
            open_section("." * 40, section=HASTY, **hasty),
            open_section("." * 40, section=AWAY),
            *(open_section("....|....\n...|.....\n.....", section=one) for one in (LEFT, RIGHT)),
        )

    def send(self, *pairs: Pair) -> None:
        """Append records for carts, as pods do."""
        with producing(self.seats.brokers) as producer:
            for key, value in pairs:
                assert key is not None
                partition = partition_of(key, PARTITIONS)
                producer.produce(CART_COMMANDS.name, value, key, partition)

    def statuses(self, *carts: str) -> dict[str, str]:
        """Return how these carts stand, as far as they are kept."""
        stored = read_carts(self.seats.log(), Report()).stored
        return {one: stored[one].fields["status"] for one in carts if one in stored}

    def told(self, cart_id: str, number: int) -> list[str]:
        """Return what sections have told of a part of a cart, in order."""
        return self.seats.names(part_id(cart_id.encode(), number).decode())

    def check(self) -> Report:
        """Return what the audit says once nothing is under way; nothing may be wrong."""
        report = audit(self.seats.log())
        assert report.violations == [], "\n".join(as_text(report))
        assert (report.verdict, report.carts_half_held) == ("exact", 0)
        return report


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with ephemeral_stack(
        "tests-carts",
        parts={"kafka"},
        kafka_properties={**QUICK_RESTART, **FAST_SESSIONS},
        fast_jit=True,
    ) as stack:
        seats = Seats(stack.kafka_brokers, tmp_path_factory.mktemp("carts"))
        seats.create_topics()
        try:
            yield Box(seats)
        finally:
            seats.stop()


def test_d15_i25_a_kill_at_any_step_leaves_no_cart_half_held(box: Box) -> None:
    # Who comes back under its name is not waited for.
    worker = box.seats.worker("killed", SEATSTREAM_STATIC_MEMBERSHIP="true")
    expected: dict[str, str] = {}
    held = audit(box.seats.log()).held
    for life, (step, turn) in enumerate(DEATHS):
        buyers = enumerate(BUYERS)
        whole, split, given_back = (cart_id_of(3 * life + at, user) for at, user in buyers)
        # The second section has three seats. No hold has more than eight: the party is parted.
        box.send(
            open_cart(whole, best(A, 1), party(C, 12, A)),
            extend_cart(whole, "longer"),
            open_cart(split, best(A, 1), best(B, 4), best(C, 1), user="bob"),
            open_cart(given_back, best(A, 1), best(C, 1), user="eve"),
            release_cart(given_back, user="eve"),
        )
        expected |= {whole: "HELD", split: "REJECTED", given_back: "RELEASED"}
        worker.start("topology", FAILPOINTS=f"{step}:kill:{turn}")
        assert worker.ended(PATIENCE_S, why=f"{step}, {turn}") == -signal.SIGKILL
        if step == "records_produced":
            worker.wipe()
    worker.start("topology")
    assert wait_until(lambda: box.statuses(*expected) == expected, PATIENCE_S), (
        f"{box.statuses(*expected)}\n{worker.tail()}"
    )
    assert worker.terminate() == 0
    # Of each life one cart holds 13 seats, and nothing else is held.
    assert box.check().held - held == 13 * len(DEATHS)


@contextmanager
def in_use(stores: Path, partition: int) -> Iterator[None]:
    """Have the store of a partition of the sections open, so that no worker can open it."""
    memory = StoreMemory(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
    store = RocksDBStores(stores, memory).open(SEATS_CHANGELOG.name, partition, "another")
    try:
        yield
    finally:
        store.close()


def test_i25_a_section_that_is_set_aside_is_waited_for_and_its_carts_keep_no_other_for_ever(
    box: Box,
) -> None:
    worker = box.seats.worker("shares-its-disk")
    place = f"{SECTION_COMMANDS.name}-2"
    waits, given_back, lapsed = (cart_id_of(50 + at, user) for at, user in enumerate(BUYERS))
    with in_use(worker.stores, 2):
        worker.start("topology").wait_set_aside(1, "LOCK")
        box.send(
            open_cart(waits, best(HERE, 2), best(AWAY, 2)),
            open_cart(given_back, best(HERE, 3), best(AWAY, 3), user="bob"),
            release_cart(given_back, user="bob"),
            open_cart(lapsed, best(HASTY, 4), best(AWAY, 4), user="eve"),
        )
        # What was given back, or has lapsed, is free for others, whatever the other section says.
        once = ["SeatsHeld", "ReservationReleased"]
        for cart_id in (given_back, lapsed):
            assert wait_until(lambda one=cart_id: box.told(one, 0) == once, PATIENCE_S), (  # type: ignore[misc]
                f"{box.told(cart_id, 0)}\n{worker.tail()}"
            )
        expected = {waits: "ASKING", given_back: "ENDING", lapsed: "ENDING"}
        assert wait_until(lambda: box.statuses(*expected) == expected, PATIENCE_S), (
            f"{box.statuses(*expected)}\n{worker.tail()}"
        )
        assert [box.told(cart_id, 1) for cart_id in expected] == [[], [], []]
        assert list(worker.set_aside()) == [place]
    # It goes on by itself, and decides what lies there.
    expected = {waits: "HELD", given_back: "RELEASED", lapsed: "REJECTED"}
    assert wait_until(lambda: box.statuses(*expected) == expected, PATIENCE_S), (
        f"{box.statuses(*expected)}\n{worker.tail()}"
    )
    assert worker.terminate() == 0
    assert [box.told(waits, number) for number in (0, 1)] == [["SeatsHeld"]] * 2
    assert [box.told(cart_id, 0) for cart_id in (given_back, lapsed)] == [once, once]
    box.check()


def test_d12_parties_over_two_sections_race_with_other_buyers_and_none_is_half_seated(
    box: Box,
) -> None:
    worker = box.seats.worker("racing").start("topology").wait_ready()
    users = [f"racer-{number}" for number in range(8)]
    # No test has the id of another's cart.
    carts = [cart_id_of(30 + number, user) for number, user in enumerate(users)]

    def want_seats(number: int) -> None:
        """Have a party want seats in either section first, and others want some of the same."""
        user, cart_id = users[number], carts[number]
        first, second = (LEFT, RIGHT) if number % 2 else (RIGHT, LEFT)
        box.send(open_cart(cart_id, party(first, 6 + number % 3, second), user=user))
        box.seats.send(*(hold(f"{user}-{one}", 1, section=one) for one in (second, first)))

    with ThreadPoolExecutor(len(users)) as buyers:
        assert len(list(buyers.map(want_seats, range(len(users))))) == len(users)
    ends = {"HELD", "REJECTED"}
    assert wait_until(
        lambda: len(found := box.statuses(*carts)) == len(users) and set(found.values()) <= ends,
        PATIENCE_S,
    ), f"{box.statuses(*carts)}\n{worker.tail()}"
    assert worker.terminate() == 0
    # More is wanted than there is, and something is had. Who sits where the audit decides anew:
    # all of a party or nothing, in the fewest pieces that its section had at that moment.
    assert set(box.statuses(*carts).values()) == ends
    box.check()
