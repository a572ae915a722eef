"""Events are those that the worker before would tell: their workers act on each, and bury none."""

import pytest
from support.issuing.orders import CODECS, IDS

from benchmarks.worker_runs.events import Events
from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED, Topic
from state.domain.issued.slots import Rules
from state.domain.keys import partition_of
from streams import issue_purchases
from streams.allocate_purchases import identified
from streams.batch import Batch
from streams.driver import PipedRecord, TopologyDriver
from streams.route import Route
from streams.schedule_slots import handler as slots
from streams.settings import Settings
from streams.working.inbox import Event
from topology import ISSUING, SCHEDULING

RULES = Rules(Settings().slot_zone)


@pytest.mark.parametrize(
    ("source", "route", "words"),
    [
        (PURCHASE_CONFIRMED, issue_purchases.route(ISSUING, CODECS), 5),
        (SEATS_ALLOCATED, slots.route(SCHEDULING, slots.Setup(CODECS, RULES)), 35),
    ],
)
def test_each_event_is_acted_on_once(source: Topic, route: Route, words: int) -> None:
    driver = TopologyDriver([route], partitions=source.partitions)
    for key, value in Events(IDS).of(source, 5):
        driver.pipe(source.name, key, value)
    assert driver.dead_letters == []
    assert len(driver.read(route.to[0])) == words


def test_purchases_are_ones_that_may_be_allocated() -> None:
    events = list(Events(IDS).of(PURCHASE_CREATED, 5))
    assert len({key for key, _ in events}) == 5
    for key, value in events:
        where = partition_of(key, PURCHASE_CREATED.partitions)
        record = PipedRecord(PURCHASE_CREATED.name, where, 0, 1_000, key, value)
        batch = Batch(PURCHASE_CREATED.name, where, PURCHASE_CREATED.partitions, [record])
        assert isinstance(identified(CODECS)(batch, record), Event)
