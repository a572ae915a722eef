"""The roles that come after the money, in memory, over what payments have told."""

import json
from collections.abc import Sequence

from support.issuing.orders import CODECS

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED
from scripts.auditing.log import Log
from scripts.auditing.topics import LogRecord, Records
from state.domain.issued.purchase import IssuedPurchase
from state.domain.keys import ALLOCATED, ISSUED
from state.records.issued.codecs import issued_purchase
from streams import allocate_purchases, issue_purchases
from streams.driver import PipedRecord, TopologyDriver
from streams.intents import Answer, Intent, Result
from streams.route import Route
from topology import ALLOCATING, ISSUING

CONFIRMED, CREATED, ALLOCATED_TO = (
    topic.name for topic in (PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED)
)


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


def both_routes() -> list[Route]:
    setup = allocate_purchases.Setup(CODECS, nobody)
    return [
        issue_purchases.route(ISSUING, CODECS),
        allocate_purchases.route(ALLOCATING, setup),
    ]


class After:
    """The two roles that come after the money, in memory, over what payments have told."""

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = partitions
        self.driver = TopologyDriver(both_routes(), partitions=partitions)

    def hears(self, records: Sequence[PipedRecord]) -> None:
        for record in records:
            self.driver.pipe(CONFIRMED, record.key, record.value, headers=record.headers)
            self.serve()

    def serve(self) -> None:
        """Let the service answer: one allocation for each purchase."""
        for pending in self.driver.intents(CREATED, due=True):
            asked = json.loads(pending.intent.payload)
            # Of an end it is told, and says nothing.
            own_id = asked.get("purchase_id", "")
            said = json.dumps({"allocation_id": f"al-{own_id}", "status": "approved"})
            self.driver.answer(pending, Answer(result=Result.ANSWERED, payload=said.encode()))

    def purchases(self) -> list[IssuedPurchase]:
        return [
            issued_purchase(value)
            for number in range(self.partitions)
            for key, value in self.driver.stored(CONFIRMED, number).items()
            if key.startswith(ISSUED)
        ]

    def tickets(self) -> list[tuple[str, int, int]]:
        """Return (reservation, row, seat) of every ticket."""
        return sorted(
            (ticket.order.reservation_id.decode(), ticket.row, ticket.seat)
            for purchase in self.purchases()
            for ticket in purchase.tickets()
        )

    def allocations(self) -> dict[bytes, bytes]:
        return {
            key: value
            for number in range(self.partitions)
            for key, value in self.driver.stored(CREATED, number).items()
            if key.startswith(ALLOCATED)
        }

    def lay(self, log: Log) -> Log:
        """Add what they have told to a log for the auditor; return it."""
        log.issued, log.allocated = self._records(CREATED), self._records(ALLOCATED_TO)
        return log

    def _records(self, topic: str) -> Records:
        return {
            number: [
                LogRecord(one.offset, one.timestamp, one.key, one.value)
                for one in self.driver.log(topic, number)
            ]
            for number in range(self.partitions)
        }
