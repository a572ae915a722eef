"""What log, metrics and collector are told of a call over gRPC: as of a request over HTTP."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.booking_queue.calling import SERVICE, WAIT_S, Served, of, served, wish
from support.pods.conditions import until
from support.pods.whole_pods import EVENT

from api.booking.calls import ids_in
from api.web.logs import access
from infra.process import spans
from infra.process.spans import Span
from schemas.proto import booking_worker_pb2 as messages

pytestmark = pytest.mark.redis

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACED = (("x-correlation-id", "c-7"), ("traceparent", f"00-{TRACE}-{PARENT}-01"))
FREE = {"limit_create": None, "limit_position": None, "limit_cancel": None, "limit_network": None}


def run(url: str, test: Callable[[Served], Awaitable[None]]) -> None:
    async def go() -> None:
        async with served(url, settings=FREE) as one:
            await test(one)

    asyncio.run(go())


async def ended(call: Any) -> tuple[str, str]:
    """Return code of a call that is refused, and the correlation id that it was answered with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    told = dict(caught.value.trailing_metadata() or ())
    return caught.value.code().name, str(told.get("x-correlation-id", ""))


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    told = [record for record in caplog.records if record.name == access.name]
    return [{"route": record.getMessage(), **vars(record)["fields"]} for record in told]


def test_each_call_has_a_line_a_count_and_a_span_and_its_ids_go_into_the_queue(
    redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Span] = []
    monkeypatch.setattr(spans, "_told_to", [SimpleNamespace(add=told.append)])

    async def test(one: Served) -> None:
        call = one.stub.EnqueueBooking(wish(), metadata=(*of("ann"), *TRACED))
        entered = await call
        assert ("x-correlation-id", "c-7") in tuple(await call.trailing_metadata())
        item = await one.queue.look(entered.queue_item_id)
        assert item is not None
        assert item.ids.decode() == f"c-7 {TRACED[1][1]}"
        # Nobody reads on another's behalf, so its line is written before the next call's.
        named = messages.GetQueueStatusRequest(queue_item_id=entered.queue_item_id)
        shown = (*of("eve"), ("x-correlation-id", "c-8"))
        assert await ended(one.stub.GetQueueStatus(named, metadata=shown)) == ("NOT_FOUND", "c-8")
        unknown: Any = one.channel.unary_unary(SERVICE + "4242424242424242")
        code, _ = await ended(unknown(b"", metadata=of("ann"), timeout=WAIT_S))
        assert code == "UNIMPLEMENTED"
        code, given = await ended(one.stub.EnqueueBooking(wish(), metadata=()))
        assert code == "UNAUTHENTICATED"
        health: Any = health_pb2_grpc.HealthStub(one.channel)
        await health.Check(health_pb2.HealthCheckRequest())
        watching = one.stub.WatchPosition(
            messages.WatchPositionRequest(queue_item_id=item.id), metadata=of("ann")
        )
        assert (await watching.read()).position == 1
        watching.cancel()
        await until(lambda: len(lines(caplog)) == 5, WAIT_S)
        found = [
            (line["route"].rpartition("/")[2], line["status"], line["code"], line.get("user"))
            for line in lines(caplog)
        ]
        assert found == [
            ("EnqueueBooking", 200, "OK", "ann"),
            ("GetQueueStatus", 404, "NOT_FOUND", "eve"),
            ("unknown", 404, "UNIMPLEMENTED", "ann"),
            ("EnqueueBooking", 401, "UNAUTHENTICATED", None),
            ("WatchPosition", 499, "CANCELLED", "ann"),
        ]
        first, second, third, fourth, _ = lines(caplog)
        assert (first["correlation_id"], first["client"]) == ("c-7", "127.0.0.1")
        assert (second["reason"], fourth["reason"]) == ("NOT_FOUND", "UNAUTHENTICATED")
        assert fourth["correlation_id"] == given
        assert "4242" not in str(third)
        page = one.pod.metrics.exposition().decode()
        route = f'route="{SERVICE}EnqueueBooking"'
        for status in (200, 401):
            assert f'seatstream_api_requests_total{{{route},status="{status}"}} 1.0' in page
        assert 'seatstream_api_problems_total{reason="UNAUTHENTICATED"} 1.0' in page
        [span] = told
        assert (span.trace_id, span.parent_id, span.is_error) == (TRACE, PARENT, False)
        assert dict(span.attributes)["seatstream.correlation_id"] == "c-7"

    with caplog.at_level(logging.INFO, access.name):
        run(redis_url, test)


def test_an_error_of_ours_is_logged_with_the_ids_of_its_call(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(one: Served) -> None:
        item = (await one.stub.EnqueueBooking(wish(), metadata=of("ann"))).queue_item_id
        taken = await one.queue.take(EVENT)
        assert taken is not None
        await one.queue.complete(taken, b"none of ours")
        named = messages.GetQueueStatusRequest(queue_item_id=item)
        call = one.stub.GetQueueStatus(named, metadata=(*of("ann"), *TRACED))
        assert await ended(call) == ("INTERNAL", "c-7")
        line = lines(caplog)[-1]
        assert (line["status"], line["correlation_id"]) == (500, "c-7")

    with caplog.at_level(logging.INFO, access.name):
        run(redis_url, test)


def test_ids_that_are_not_well_formed_are_replaced() -> None:
    bad: list[tuple[str, str | bytes]] = [
        ("x-correlation-id", "é\n"),
        ("traceparent", "00-x"),
        ("x-correlation-id", b"bytes"),
    ]
    for metadata in (bad, None):
        found = ids_in(metadata)
        assert (len(found.id), found.traceparent) == (16, "")
