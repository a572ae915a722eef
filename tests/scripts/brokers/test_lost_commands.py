"""Where a state stands, and what was given up before; moving a group is shown on brokers."""

import pytest
from support.issuing.orders import SOURCE, Issuing, word

from scripts.brokers.lost_commands import Topics, _given_up
from scripts.show_topology import all_routes
from state.domain.keys import partition_of
from state.stores.envelope import pack
from state.stores.memory import MemoryStore
from state.stores.partition_state import SKIPPED_KEY, Changes
from streams.intents import INTENT
from streams.route import Route
from streams.runtime.ownership.timeline import pack_pairs

ROUTES = all_routes()


def store_with(*pairs: tuple[int, int]) -> MemoryStore:
    store = MemoryStore(5)
    if pairs:
        record = pack(pack_pairs(list(pairs)), seed=store.seed, order=store.order)
        store.apply(Changes([(SKIPPED_KEY, record)], [], {}, [], 0), None)
    return store


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.role)
def test_every_role_has_its_own_topics_state_and_progress(route: Route) -> None:
    topics = Topics.of(route)
    assert (topics.source, topics.changelog) == (route.source, route.changelog)
    # What is asked outside lies in the state too, and is no stranger's.
    may_store = topics.may_store
    assert may_store is None or may_store(INTENT + b"x", 0, 4) == bool(route.performers)
    # Nothing was applied; where nothing is remembered the group alone tells.
    is_told_by_group = route.progress is None
    assert topics.next_offset(store_with(), 41) == (41 if is_told_by_group else 0)
    assert topics.next_offset(store_with(), -1) == 0


def test_the_state_of_a_role_says_which_record_is_next() -> None:
    issuing = Issuing()
    [topics] = [Topics.of(route) for route in ROUTES if route.source == SOURCE]
    for number in range(3):
        issuing.hears(*word(f"r{number}"))
    store = issuing.driver.state(SOURCE, partition_of(word()[0], 4)).store
    assert topics.next_offset(store, 0) == 3


def test_what_was_given_up_before_is_read_from_the_state() -> None:
    assert _given_up(store_with()) == []
    assert _given_up(store_with((3, 9), (20, 21))) == [(3, 9), (20, 21)]
