"""What pods tell the payments role, and the gateways whose word they take in."""

import asyncio
from collections.abc import Mapping
from typing import Final

from api.parts.appended import Appended
from api.web.problems import Problem, retry_after
from infra.process.log_lines import Correlation
from infra.process.record_ids import record_headers
from serdes.registry.ids import SchemaIds
from state.domain.keys import split_issued_id
from state.domain.reasons import ApiReason
from state.kafka.command_log import AppendUnknown, CommandLog, NotAppended
from state.owners.left_alone import LeftAlone
from state.records.payments import PaymentEncoders
from streams.gateways.protocol import Gateway

_NOT_CERTAIN: Final = "Nothing was taken for certain; send it again."


class PaymentDesk(Appended):
    """Appends to payment-commands.

    encoders: values of its records. gateways: by name, as webhooks are believed. log: where they
    are appended. left_alone: which gateways workers call for nobody now; absent where nobody is
    asked.
    """

    def __init__(
        self,
        ids: SchemaIds,
        log: CommandLog,
        gateways: Mapping[str, Gateway],
        left_alone: LeftAlone | None = None,
    ) -> None:
        super().__init__("payments", log, is_optional=True)
        self.encoders = PaymentEncoders(ids)
        self.gateways = gateways
        self._left_alone = left_alone

    async def close(self) -> None:
        """Close the log and every gateway, whatever becomes of the others."""
        closing = [super().close(), *(gateway.close() for gateway in self.gateways.values())]
        if self._left_alone is not None:
            closing.append(self._left_alone.close())
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

    async def refusal(self, payment_id: str, gateway: str) -> Problem | None:
        """Return why no payment may be begun: who would make it leaves its gateway alone now."""
        parts = split_issued_id(payment_id)
        assert parts is not None
        if self._left_alone is None:
            return None
        left_ms = await self._left_alone.left_ms(parts.partition, gateway)
        if not left_ms:
            return None
        return Problem.of(
            ApiReason.GATEWAY_UNAVAILABLE,
            "Nothing was begun, and the seats stay held until their deadline: repeat it with the"
            " same key then, or pay by another gateway.",
            headers=(retry_after(left_ms),),
            gateway=gateway,
        )

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
