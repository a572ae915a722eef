"""Every role with the topic that it reads and the changelog of its state.

As in `topology.py`, without what that imports; a test compares the two.
"""

from typing import Final, NamedTuple

from schemas import topics
from schemas.topics import Topic


class Role(NamedTuple):
    """source: topic of its commands."""

    source: Topic
    changelog: Topic


ROLES: Final = {
    "seats": Role(topics.SECTION_COMMANDS, topics.SEATS_CHANGELOG),
    "payments": Role(topics.PAYMENT_COMMANDS, topics.PURCHASES_CHANGELOG),
    "carts": Role(topics.CART_COMMANDS, topics.CARTS_CHANGELOG),
    "claims": Role(topics.PAYMENT_COMPLETED, topics.CLAIMS_CHANGELOG),
    "locks": Role(topics.SEAT_UNLOCK, topics.UNLOCKS_CHANGELOG),
    "issue_purchases": Role(topics.PURCHASE_CONFIRMED, topics.ISSUED_CHANGELOG),
    "allocate_purchases": Role(topics.PURCHASE_CREATED, topics.ALLOCATIONS_CHANGELOG),
    "invalidate_caches": Role(topics.PURCHASE_CREATED, topics.CACHES_CHANGELOG),
    "purchase_tables": Role(topics.PURCHASE_CREATED, topics.PURCHASE_TABLES_CHANGELOG),
    "schedule_slots": Role(topics.SEATS_ALLOCATED, topics.SLOTS_CHANGELOG),
    "allocation_tables": Role(topics.SEATS_ALLOCATED, topics.ALLOCATION_TABLES_CHANGELOG),
    "slot_tables": Role(topics.PERFORMANCE_SLOTS, topics.SLOT_TABLES_CHANGELOG),
}

SOURCES: Final = {role.source.name: role.source for role in ROLES.values()}
"""Topics that workers read, by name."""


def readers_of(source: str) -> list[str]:
    """Return the roles that read a topic: groups of their own."""
    return [name for name, role in ROLES.items() if role.source.name == source]
