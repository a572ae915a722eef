import asyncio
from typing import Any

import pytest
from support.pods.reservation_pods import NotAppended, PaymentLog, Seats
from support.seats.section_commands import IDS

from api.commands.payment_desk import PaymentDesk
from api.web.problems import Problem
from infra.process.log_lines import Correlation
from state.owners.left_alone import LeftAlone
from state.owners.lookup import OwnerLookup
from streams.gateways.registry import opened

WHO = Correlation("c-1", "")


class Closing:
    """A gateway, as far as it is closed here."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True
        if self.error is not None:
            raise self.error


def desk_over(seats: Seats, gateways: Any = None) -> PaymentDesk:
    log: Any = PaymentLog(seats)
    return PaymentDesk(IDS, log, opened(("mock",), {}) if gateways is None else gateways)


def test_what_is_not_certainly_in_the_log_is_told_as_unavailable() -> None:
    seats = Seats()
    desk = desk_over(seats)
    asyncio.run(desk.tell("r-1", 2, b"value", WHO))
    seats.failure = NotAppended("no brokers")
    with pytest.raises(Problem, match="send it again"):
        asyncio.run(desk.tell("r-1", 2, b"value", WHO))


def test_every_gateway_is_closed_though_one_fails() -> None:
    gateways = {"one": Closing(OSError("cut off")), "two": Closing()}
    with pytest.raises(OSError, match="cut off"):
        asyncio.run(desk_over(Seats(), gateways).close())
    assert [gateway.is_closed for gateway in gateways.values()] == [True, True]


def test_what_is_asked_of_owners_ends_with_the_desk() -> None:
    class Hanging(OwnerLookup):
        async def left_alone(self, topic: str, partition: int) -> dict[str, int]:  # noqa: ARG002
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    async def go() -> None:
        left_alone = LeftAlone(Hanging("nowhere:1", "seats"), "payment-commands")
        log: Any = PaymentLog(Seats())
        desk = PaymentDesk(IDS, log, {}, left_alone)
        # Nobody knows, so nothing is refused.
        assert await desk.refusal(f"{'a' * 26}-2", "mock") is None
        await desk.close()
        await asyncio.sleep(0)
        assert not left_alone._asking

    asyncio.run(go())


def test_there_are_as_many_partitions_as_the_topic_has() -> None:
    desk = desk_over(Seats())
    assert desk.has_partition(3)
    assert not desk.has_partition(4)
