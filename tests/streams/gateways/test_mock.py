import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from support.gateways.running import (
    API_KEY,
    PATIENCE_S,
    RunningGateway,
    charge,
    refund,
    running_gateway,
    until_async,
)
from support.gateways.serving import served

from infra.gateway.books import Operation
from infra.gateway.faults import Fault
from infra.process.environment import BadSetting, Environment
from streams.gateways.mock import MockGateway, open_mock
from streams.gateways.protocol import (
    Captured,
    Declined,
    Delivery,
    NotFound,
    Pending,
    Refunded,
    Refused,
    RefusedReason,
    Unavailable,
    Unknown,
)
from streams.gateways.webhooks import WebhookRefusal

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with running_gateway() as running:
        yield running


Test = Callable[[MockGateway], Awaitable[None]]


def run(gateway: RunningGateway, test: Test, api_key: str = API_KEY) -> None:
    async def whole() -> None:
        async with gateway.client(api_key) as client:
            await test(client)

    asyncio.run(whole())


def captures_of(gateway: RunningGateway, order_id: str) -> list[int]:
    return [paid.amount for paid in gateway.ledger().captures if paid.order_id == order_id]


def test_a_charge_is_captured_found_and_given_back(gateway: RunningGateway) -> None:
    async def test(client: MockGateway) -> None:
        asked = charge("whole-1")
        assert await client.verify("whole-1", PATIENCE_S) == NotFound()
        captured = await client.process(asked, PATIENCE_S)
        assert isinstance(captured, Captured)
        assert captured.pays(asked)
        assert (captured.method, captured.amount) == ("card", 1250)
        assert await client.verify("whole-1", PATIENCE_S) == captured
        refunded = await client.refund(refund("whole-1"), PATIENCE_S)
        assert isinstance(refunded, Refunded)
        assert (refunded.payment_id, refunded.amount) == (captured.payment_id, 1250)
        assert await client.refund(refund("whole-1"), PATIENCE_S) == refunded
        assert await client.verify("whole-1", PATIENCE_S) == refunded

    run(gateway, test)


def test_f52_fifty_at_once_under_one_key_are_one_charge_and_one_answer(
    gateway: RunningGateway,
) -> None:
    async def test(client: MockGateway) -> None:
        asked = charge("at-once")
        answers = await asyncio.gather(*(client.process(asked, PATIENCE_S) for _ in range(50)))
        assert len(set(answers)) == 1
        assert isinstance(answers[0], Captured)

    run(gateway, test)
    assert captures_of(gateway, "at-once") == [1250]


def test_fifty_at_once_under_keys_of_their_own_are_one_charge(gateway: RunningGateway) -> None:
    async def test(client: MockGateway) -> None:
        charges = [charge("one-order", key=f"own-{number}") for number in range(50)]
        answers = await asyncio.gather(*(client.process(one, PATIENCE_S) for one in charges))
        refused = Refused(RefusedReason.ALREADY_CAPTURED)
        assert answers.count(refused) == 49
        assert sum(isinstance(answer, Captured) for answer in answers) == 1

    run(gateway, test)
    assert captures_of(gateway, "one-order") == [1250]


def test_what_may_not_be_is_refused_by_name(gateway: RunningGateway) -> None:
    async def test(client: MockGateway) -> None:
        await client.process(charge("refused-1"), PATIENCE_S)
        other = await client.process(charge("refused-1", amount=1), PATIENCE_S)
        assert other == Refused(RefusedReason.KEY_REUSED)
        part = await client.refund(refund("refused-1", amount=1249), PATIENCE_S)
        assert part == Refused(RefusedReason.PARTIAL_REFUND)
        nothing = await client.refund(refund("refused-none"), PATIENCE_S)
        assert nothing == NotFound()
        await client.refund(refund("refused-1"), PATIENCE_S)
        again = await client.refund(refund("refused-1", key="again"), PATIENCE_S)
        assert again == Refused(RefusedReason.ALREADY_REFUNDED)

    run(gateway, test)


def test_who_lacks_the_key_is_refused_and_the_key_is_not_shown(gateway: RunningGateway) -> None:
    async def test(client: MockGateway) -> None:
        answer = await client.process(charge("not-allowed"), PATIENCE_S)
        assert answer == Refused(RefusedReason.NOT_ALLOWED)
        assert "wrong_key" not in repr([answer, client, vars(client)])

    run(gateway, test, api_key="wrong_key")


ANSWERS: dict[Fault, tuple[type[Any], bool]] = {
    Fault.DECLINE: (Declined, False),
    Fault.PENDING: (Pending, False),
    Fault.ERROR: (Unknown, False),
    Fault.TOO_MANY: (Unavailable, False),
    Fault.RESET: (Unknown, False),
    Fault.LATE: (Captured, True),
    Fault.DONE_THEN_ERROR: (Unknown, True),
    Fault.DONE_THEN_RESET: (Unknown, True),
    Fault.GARBAGE: (Unknown, True),
    Fault.OVERSIZED: (Unknown, True),
    Fault.WRONG_TYPES: (Unknown, True),
}


@pytest.mark.parametrize("fault", ANSWERS)
@pytest.mark.parametrize("by", ["order", "parameter"])
def test_f54_each_fault_has_its_answer_and_a_repeat_charges_once(
    gateway: RunningGateway, fault: Fault, by: str
) -> None:
    kind, is_done = ANSWERS[fault]
    order_id = f"{fault}-{by}"

    async def test(client: MockGateway) -> None:
        if by == "order":
            gateway.order(fault.value, order_id)
            asked = charge(order_id)
        else:
            asked = charge(order_id, fault=fault.value)
        answer = await client.process(asked, PATIENCE_S)
        assert isinstance(answer, kind), answer
        if isinstance(answer, Unavailable):
            assert answer.retry_after_s == 1
        found = await client.verify(order_id, PATIENCE_S)
        if is_done:
            assert isinstance(found, Captured)
        elif fault in {Fault.DECLINE, Fault.PENDING}:
            assert found == answer
        else:
            assert found == NotFound()
        repeated = await client.process(asked, PATIENCE_S)
        if by == "order" and not isinstance(answer, Declined | Pending):
            assert isinstance(repeated, Captured)
        else:
            assert isinstance(repeated, kind)

    gateway.control("/pace", delay_ms=0, late_ms=10)
    run(gateway, test)
    done_in_the_end = is_done or (by == "order" and kind not in {Declined, Pending})
    assert captures_of(gateway, order_id) == ([1250] if done_in_the_end else [])


@pytest.mark.parametrize(
    ("fault", "amount", "currency"),
    [(Fault.WRONG_AMOUNT, 1251, "EUR"), (Fault.WRONG_CURRENCY, 1250, "USD")],
)
def test_f59_another_amount_is_told_and_can_be_given_back(
    gateway: RunningGateway, fault: Fault, amount: int, currency: str
) -> None:
    order_id = fault.value

    async def test(client: MockGateway) -> None:
        gateway.order(fault.value, order_id)
        asked = charge(order_id)
        captured = await client.process(asked, PATIENCE_S)
        assert isinstance(captured, Captured)
        assert (captured.amount, captured.currency) == (amount, currency)
        assert not captured.pays(asked)
        assert await client.verify(order_id, PATIENCE_S) == captured
        back = await client.refund(refund(order_id, amount, currency), PATIENCE_S)
        assert isinstance(back, Refunded)

    run(gateway, test)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.DONE_THEN_HANG])
def test_f53_who_waits_no_longer_knows_nothing(gateway: RunningGateway, fault: Fault) -> None:
    gateway.order(fault.value, f"waits-{fault}")

    async def test(client: MockGateway) -> None:
        answer = await client.process(charge(f"waits-{fault}"), 0.3)
        assert isinstance(answer, Unknown)

    run(gateway, test)


def test_f53_what_was_charged_before_it_hung_is_found_by_its_order(
    gateway: RunningGateway,
) -> None:
    gateway.order("done_then_hang", "hung")

    async def test(client: MockGateway) -> None:
        hanging = asyncio.create_task(client.process(charge("hung"), PATIENCE_S))

        async def is_captured() -> bool:
            return isinstance(await client.verify("hung", PATIENCE_S), Captured)

        await until_async(is_captured)
        assert not hanging.done()
        # Of the same key, while the first call is under way.
        assert isinstance(await client.process(charge("hung"), PATIENCE_S), Captured)
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)

    run(gateway, test)
    assert captures_of(gateway, "hung") == [1250]


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.TOO_MANY, Fault.RESET, Fault.GARBAGE])
def test_f61_look_ups_and_refunds_fail_too_and_are_repeated_with_their_key(
    gateway: RunningGateway, fault: Fault
) -> None:
    order_id, kind = f"refunds-{fault}", ANSWERS[fault][0]

    async def test(client: MockGateway) -> None:
        await client.process(charge(order_id), PATIENCE_S)
        # The HTTP library repeats a look-up once where its connection was reset: reset both.
        times = 2 if fault is Fault.RESET else 1
        gateway.order(fault.value, order_id, Operation.LOOK_UP, times)
        assert isinstance(await client.verify(order_id, PATIENCE_S), kind)
        gateway.order(fault.value, order_id, Operation.REFUND)
        assert isinstance(await client.refund(refund(order_id), PATIENCE_S), kind)
        assert isinstance(await client.refund(refund(order_id), PATIENCE_S), Refunded)

    run(gateway, test)
    assert sum(back.order_id == order_id for back in gateway.ledger().refunds) == 1


def test_f60_a_gateway_that_is_not_there_has_done_nothing() -> None:
    async def test() -> None:
        # Nobody listens at the port that discards.
        client = open_mock(Environment({"MOCK_GATEWAY_URL": "http://127.0.0.1:9"}))
        try:
            assert isinstance(await client.process(charge("x"), PATIENCE_S), Unavailable)
            assert isinstance(await client.verify("x", PATIENCE_S), Unavailable)
            assert isinstance(await client.refund(refund("x"), PATIENCE_S), Unavailable)
            assert isinstance(await client.process(charge("x"), 0), Unavailable)
        finally:
            await client.close()

    asyncio.run(test())


def test_b73_a_hint_tells_what_it_is_about_and_a_body_that_is_none_is_refused() -> None:
    from infra.gateway.webhooks import HEADER, signature  # noqa: PLC0415 (names clash)

    client = open_mock(Environment({"MOCK_GATEWAY_WEBHOOK_SECRET": "s" * 16}))

    def judged(body: bytes) -> Any:
        stated = signature(b"s" * 16, 1_000, body).encode()
        delivery = Delivery([(HEADER.encode(), stated)], body)
        return asyncio.run(client.webhook(delivery, 1_000_000))

    event = {"id": "evt_1", "type": "payment.captured", "order_id": "o"}
    hint = judged(json.dumps(event).encode())
    assert (hint.event_id, hint.kind, hint.order_id) == ("evt_1", "payment.captured", "o")
    assert judged(json.dumps({**event, "type": "new.kind"}).encode()).kind == "new.kind"
    for bad in (b"", b"[]", b"\xff", b"{}"):
        assert judged(bad) is WebhookRefusal.BAD_BODY
    for other in ({"id": 7}, {"type": "a b"}, {"order_id": None}, {"order_id": ".."}):
        assert judged(json.dumps({**event, **other}).encode()) is WebhookRefusal.BAD_BODY


async def told(status: int, fields: dict[str, Any], ask: Test) -> None:
    """Ask a gateway that gives this answer to whatever it is asked."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(fields, status=status)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with served(application) as url:
        client = open_mock(Environment({"MOCK_GATEWAY_URL": url}))
        try:
            await ask(client)
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (402, {"status": "declined", "reason": "CARD_DECLINED"}),
        (202, {"status": "pending"}),
        (404, {"error": "NOT_FOUND"}),
        (409, {"error": "ALREADY_CAPTURED"}),
    ],
)
@pytest.mark.parametrize("about", ["another", "", 7, None])
def test_b58_an_answer_about_another_order_is_not_believed(
    status: int, fields: dict[str, Any], about: Any
) -> None:
    async def another(client: MockGateway) -> None:
        for answer in (
            await client.process(charge("ours"), PATIENCE_S),
            await client.verify("ours", PATIENCE_S),
            await client.refund(refund("ours"), PATIENCE_S),
        ):
            assert isinstance(answer, Unknown)

    async def ours(client: MockGateway) -> None:
        assert not isinstance(await client.verify("ours", PATIENCE_S), Unknown)

    asyncio.run(told(status, {**fields, "order_id": about}, another))
    asyncio.run(told(status, {**fields, "order_id": "ours"}, ours))
    asyncio.run(told(status, fields, ours))


@pytest.mark.parametrize(
    "variables",
    [
        {"MOCK_GATEWAY_URL": "ftp://x"},
        {"MOCK_GATEWAY_URL": "http://x:99999"},
        {"MOCK_GATEWAY_URL": "http://x:0"},
        {"MOCK_GATEWAY_URL": "http://x:y"},
        {"MOCK_GATEWAY_URL": "http://user:geheim@x"},
        {"MOCK_GATEWAY_API_KEY": "geheim\n"},
        {"MOCK_GATEWAY_WEBHOOK_SECRET": "geheim"},
        {"MOCK_GATEWAY_OLD_WEBHOOK_SECRET": "geheim"},
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(variables: dict[str, str]) -> None:
    read = Environment(variables)
    open_mock(read)
    with pytest.raises(BadSetting, match=next(iter(variables))) as raised:
        read.check()
    if "URL" not in str(raised.value):
        assert "geheim" not in str(raised.value)
