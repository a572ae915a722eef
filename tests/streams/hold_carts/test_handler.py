"""Carts fold to the same state however their records are cut into batches, and after rewinds."""

from hypothesis import given
from hypothesis import strategies as st
from support.carts.carting import (
    CARTS,
    CODECS,
    SEATS,
    SECTIONS,
    Carting,
    best,
    cart_id_of,
    flow,
    open_cart,
    release_cart,
)

from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState
from streams.batch import Batch
from streams.hold_carts.handler import hold_carts, progress, refuse_poison

A, B, C = SECTIONS
FIRST, SECOND = cart_id_of(0), cart_id_of(1)


def sale() -> Carting:
    world = Carting(("....", "..", "...."))
    world.send(open_cart(FIRST, best(A, 2), best(B, 1)), open_cart(SECOND, best(C, 2), best(B, 2)))
    world.send(release_cart(FIRST), release_cart(SECOND))
    return world


def test_the_topology_plays_this_handler() -> None:
    assert flow()[1].source == CARTS
    assert flow()[1].by_key == (SEATS,)


@given(st.lists(st.integers(1, 5), max_size=20))
def test_where_a_batch_ends_changes_nothing(sizes: list[int]) -> None:
    world = sale()
    home = int(FIRST.rpartition("-")[2])
    log = world.driver.log(CARTS, home)
    handler, state = hold_carts(CODECS), PartitionState(MemoryStore())
    sent: list[object] = []
    at = 0
    for size in [*sizes, len(log)]:
        if records := log[at : at + size]:
            effects = handler(Batch(CARTS, home, 4, records), state, 0)
            sent += effects.outgoing.get(SEATS, [])
            at += size
    stored = {key: state.get(key) for key in world.driver.stored(CARTS, home)}
    assert stored == world.driver.stored(CARTS, home)
    everything = hold_carts(CODECS)(Batch(CARTS, home, 4, log), PartitionState(MemoryStore()), 0)
    assert sent == everything.outgoing[SEATS]


def test_after_a_rewind_nothing_is_asked_that_was_answered() -> None:
    world = sale()
    home = int(FIRST.rpartition("-")[2])
    before = world.driver.stored(CARTS, home)
    world.told(SEATS)
    world.driver.replay(CARTS, home, world.driver.log(CARTS, home))
    assert world.told(SEATS) == []
    assert world.driver.stored(CARTS, home) == before


def test_a_poisonous_record_is_passed_over() -> None:
    world = sale()
    home = int(FIRST.rpartition("-")[2])
    record = world.driver.log(CARTS, home)[-1]
    state = PartitionState(MemoryStore())
    effects = refuse_poison(CODECS)(Batch(CARTS, home, 4, [record]), state, record, 0)
    assert effects.outgoing == {}
    assert progress(state).next_offset == record.offset + 1
