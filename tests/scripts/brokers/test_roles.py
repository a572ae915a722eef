"""Commands of operators know every role and every topic that workers read."""

import pytest

from scripts.brokers.roles import ROLES, SOURCES, readers_of
from scripts.letters.letter import BY_KEY, Letter, Origin
from scripts.offsets import commands, reset
from scripts.show_topology import all_routes

ROUTES = all_routes()


def test_the_roles_of_operators_are_those_of_the_topology() -> None:
    known = {name: (role.source.name, role.changelog.name) for name, role in ROLES.items()}
    assert known == {route.role: (route.source, route.changelog) for route in ROUTES}


def test_every_source_of_the_topology_is_in_each_list_of_topics() -> None:
    sources = {route.source for route in ROUTES}
    assert SOURCES.keys() == sources
    for parameter in (*commands.show.params, *commands.set_offsets.params):
        if parameter.name == "topic":
            assert {*parameter.type.choices} == sources  # type: ignore[attr-defined]
    [roles] = [one for one in reset.reset.params if one.name == "roles"]
    assert {*roles.type.choices} == {route.role for route in ROUTES}  # type: ignore[attr-defined]


@pytest.mark.parametrize("source", sorted({route.source for route in ROUTES}))
def test_a_letter_of_any_source_can_be_sent_back_to_where_it_belongs(source: str) -> None:
    origin = Origin(source, 3, 5, 1)
    letter = Letter(3, 0, 0, origin, "ATTEMPTS_EXHAUSTED", "", b"7-ann", b"x", (), {}, "")
    assert letter.unsendable == ""
    is_by_key = "same partition number" not in SOURCES[source].key
    assert (source in BY_KEY) == is_by_key


def test_who_reads_a_topic_is_told_with_all_roles() -> None:
    assert readers_of("section-commands") == ["seats"]
    readers = ["allocate_purchases", "invalidate_caches", "purchase_tables"]
    assert readers_of("purchase-created") == readers
    assert readers_of("seats-allocated") == ["schedule_slots", "allocation_tables"]
