"""What pods tell the carts role: what buyers want of several sections at once."""

from api.parts.appended import Appended
from api.web.problems import Problem
from infra.process.log_lines import Correlation
from infra.process.record_ids import record_headers
from serdes.registry.ids import SchemaIds
from state.domain.reasons import ApiReason
from state.kafka.command_log import AppendUnknown, CommandLog, NotAppended, TooLarge
from state.records.carts import CartEncoders


class CartDesk(Appended):
    """Appends to cart-commands, the topic of `log`; encoders: values of its records."""

    def __init__(self, ids: SchemaIds, log: CommandLog) -> None:
        super().__init__("carts", log, is_optional=True)
        self.encoders = CartEncoders(ids)

    async def tell(
        self, key: bytes, partition: int, value: bytes, correlation: Correlation
    ) -> None:
        """Append a record about a cart; maybe it is there where nobody knows.

        Raises Problem: 503 where it is certainly not in the log, 413 where it never will be.
        To be told anything twice changes nothing, so whoever is in doubt sends it again.
        """
        try:
            await self.log.send(
                key, value, partition=partition, headers=record_headers(correlation)
            )
        except TooLarge as error:
            raise Problem.of(ApiReason.BODY_TOO_LARGE, "Ask for less at once.") from error
        except NotAppended as error:
            raise Problem.of(
                ApiReason.BROKER_UNAVAILABLE,
                "Nothing was accepted; ask again with the same idempotency key.",
            ) from error
        except AppendUnknown:
            return
