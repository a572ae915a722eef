"""What pods tell the payments role, and the gateways whose word they take in."""

import asyncio
from collections.abc import Mapping
from typing import Final

from api.parts.appended import Appended
from api.web.problems import Problem
from infra.process.log_lines import Correlation
from infra.process.record_ids import record_headers
from serdes.registry.ids import SchemaIds
from state.domain.reasons import ApiReason
from state.kafka.command_log import AppendUnknown, CommandLog, NotAppended
from state.records.payments import PaymentEncoders
from streams.gateways.protocol import Gateway

_NOT_CERTAIN: Final = "Nothing was taken for certain; send it again."


class PaymentDesk(Appended):
    """Appends to payment-commands.

    encoders: values of its records. gateways: by name, as webhooks are believed. log: where they
    are appended.
    """

    def __init__(self, ids: SchemaIds, log: CommandLog, gateways: Mapping[str, Gateway]) -> None:
        super().__init__("payments", log, is_optional=True)
        self.encoders = PaymentEncoders(ids)
        self.gateways = gateways

    async def close(self) -> None:
        """Close the log and every gateway, whatever becomes of the others."""
        closing = (super().close(), *(gateway.close() for gateway in self.gateways.values()))
        for ended in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    def has_partition(self, partition: int) -> bool:
        """Say whether there is such a partition; raises Problem (503) where nobody knows."""
        return partition < self.partitions()

    def partitions(self) -> int:
        """Return how many partitions there are; raises Problem (503) where nobody knows."""
        try:
            return self.log.partitions
        except NotAppended as error:
            raise _unavailable() from error

    async def tell(
        self, reservation_id: str, partition: int, value: bytes, correlation: Correlation
    ) -> None:
        """Append a record about a payment; raises Problem (503) where it may not be in the log.

        Whoever is told so sends it again: to be told anything twice changes nothing.
        """
        try:
            await self.log.send(
                reservation_id.encode(),
                value,
                partition=partition,
                headers=record_headers(correlation),
            )
        except (NotAppended, AppendUnknown) as error:
            raise _unavailable() from error


def _unavailable() -> Problem:
    return Problem.of(ApiReason.BROKER_UNAVAILABLE, _NOT_CERTAIN)
