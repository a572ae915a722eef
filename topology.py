"""The table of contents: which topic goes through which handler, to which topics and store.

`faust -A topology worker` starts a worker with the settings of its environment
(`streams/settings.py`). Importing this module opens nothing: `app` is built on first access.
"""

import os

from schemas import topics
from streams import (
    allocate_purchases,
    invalidate_caches,
    issue_purchases,
    release_locks,
)
from streams.change_sections import handler as seats
from streams.check_claims import handler as claims
from streams.fill_tables import handler as filling
from streams.hold_carts import handler as carts
from streams.route import RoleTopics, Route
from streams.runtime.app import BatchApp
from streams.schedule_slots import handler as slots
from streams.settings import Settings
from streams.take_payments import handler as payments
from streams.wiring import Parts, build_app

SEATS = RoleTopics.of(
    seats.ROLE,
    topics.SECTION_COMMANDS,
    to=(
        topics.RESERVATION_OUTCOMES,
        topics.SECTION_STATUS,
        topics.PAYMENT_COMMANDS,
        topics.CART_COMMANDS,
        topics.SEAT_UNLOCK,
    ),
    by_key=(topics.CART_COMMANDS,),
    changelog=topics.SEATS_CHANGELOG,
)
PAYMENTS = RoleTopics.of(
    payments.ROLE,
    topics.PAYMENT_COMMANDS,
    to=(
        topics.PAYMENT_EVENTS,
        topics.SECTION_COMMANDS,
        topics.CART_COMMANDS,
        topics.PURCHASE_CONFIRMED,
    ),
    by_key=(topics.PURCHASE_CONFIRMED,),
    changelog=topics.PURCHASES_CHANGELOG,
)
CARTS = RoleTopics.of(
    carts.ROLE,
    topics.CART_COMMANDS,
    # The payment of a cart lies on the cart's own partition.
    to=(topics.SECTION_COMMANDS, topics.PAYMENT_COMMANDS),
    by_key=(topics.SECTION_COMMANDS,),
    changelog=topics.CARTS_CHANGELOG,
)
CLAIMS = RoleTopics.of(
    claims.ROLE,
    topics.PAYMENT_COMPLETED,
    to=(topics.SECTION_COMMANDS,),
    changelog=topics.CLAIMS_CHANGELOG,
)
LOCKS = RoleTopics.of(
    release_locks.ROLE,
    topics.SEAT_UNLOCK,
    to=(topics.SEAT_UNLOCKED,),
    changelog=topics.UNLOCKS_CHANGELOG,
)
ISSUING = RoleTopics.of(
    issue_purchases.ROLE,
    topics.PURCHASE_CONFIRMED,
    to=(topics.PURCHASE_CREATED,),
    changelog=topics.ISSUED_CHANGELOG,
)
ALLOCATING = RoleTopics.of(
    allocate_purchases.ROLE,
    topics.PURCHASE_CREATED,
    to=(topics.SEATS_ALLOCATED,),
    changelog=topics.ALLOCATIONS_CHANGELOG,
)

CACHES = RoleTopics.of(
    invalidate_caches.ROLE,
    topics.PURCHASE_CREATED,
    to=(),
    changelog=topics.CACHES_CHANGELOG,
)

PURCHASE_TABLES = RoleTopics.of(
    filling.PURCHASES,
    topics.PURCHASE_CREATED,
    to=(),
    changelog=topics.PURCHASE_TABLES_CHANGELOG,
)
ALLOCATION_TABLES = RoleTopics.of(
    filling.ALLOCATIONS,
    topics.SEATS_ALLOCATED,
    to=(),
    changelog=topics.ALLOCATION_TABLES_CHANGELOG,
)
SLOT_TABLES = RoleTopics.of(
    filling.SLOTS,
    topics.PERFORMANCE_SLOTS,
    to=(),
    changelog=topics.SLOT_TABLES_CHANGELOG,
)

SCHEDULING = RoleTopics.of(
    slots.ROLE,
    topics.SEATS_ALLOCATED,
    to=(topics.PERFORMANCE_SLOTS,),
    changelog=topics.SLOTS_CHANGELOG,
)

# API pods are no workers: they follow these topics whole, in memory, and append to those.
POD_READS = (topics.SECTION_STATUS.name, topics.RESERVATION_OUTCOMES.name, topics.EVENTS.name)
POD_WRITES = (
    topics.SECTION_COMMANDS.name,
    topics.EVENTS.name,
    topics.PAYMENT_COMMANDS.name,
    topics.CART_COMMANDS.name,
)


def routes(parts: Parts) -> tuple[Route, ...]:
    """Return the flow of a worker that has these parts; a role without its part is not in it."""
    flow = [
        seats.route(SEATS, parts.seats, parts.cached_seats, parts.status_topics),
        payments.route(PAYMENTS, parts.payments, parts.gateways, parts.gateway_call_ms),
        carts.route(CARTS, parts.carts),
    ]
    if parts.shops:
        flow.append(claims.route(CLAIMS, parts.shops))
    if parts.locks:
        flow.append(release_locks.route(LOCKS, parts.locks))
    if parts.issuing:
        flow.append(issue_purchases.route(ISSUING, parts.issuing, parts.figures))
    if parts.allocating:
        flow.append(allocate_purchases.route(ALLOCATING, parts.allocating, parts.figures))
    if parts.caches:
        flow.append(invalidate_caches.route(CACHES, parts.caches, parts.figures))
    if parts.tables:
        codecs = parts.tables.codecs
        flow.append(filling.route(PURCHASE_TABLES, parts.tables, codecs.told))
        flow.append(filling.route(ALLOCATION_TABLES, parts.tables, codecs.heard))
        flow.append(filling.route(SLOT_TABLES, parts.tables, codecs.planned))
    if parts.scheduling:
        flow.append(slots.route(SCHEDULING, parts.scheduling, parts.figures))
    return tuple(flow)


def __getattr__(name: str) -> BatchApp:
    if name != "app":
        raise AttributeError(name)
    return build_app(Settings.from_env(os.environ), os.environ, routes)
