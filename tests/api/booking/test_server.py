"""The gRPC server as strangers meet it: who enters, what hostile bytes get, how it ends."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.booking_queue.calling import SERVICE, WAIT_S, Served, of, served, wish
from support.pages.certificates import Authority
from support.pages.tokens import bearer, token, verifier
from support.pods.whole_pods import EVENT, whole_pod

from api.booking.server import MESSAGE_BYTES_MAX, REFLECTION, BookingServer, PortUnusable
from infra.stack.redis_server import RedisServer
from schemas.proto import booking_worker_pb2 as messages

pytestmark = pytest.mark.redis

SERVING = health_pb2.HealthCheckResponse.SERVING
ENQUEUE = "EnqueueBooking"


def run(url: str, test: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def go() -> None:
        async with served(url, **options) as one:
            await test(one)

    asyncio.run(go())


async def code(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


def metadata(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), text) for name, text in headers.items())


def test_a_token_is_verified_as_over_http_and_shown_once(redis_url: str) -> None:
    forged = token().rpartition(".")[0] + ".c2lnbmF0dXJl"

    async def test(one: Served) -> None:
        async def asked(*shown: tuple[str, str]) -> str:
            return await code(one.stub.EnqueueBooking(wish(), metadata=shown))

        assert await asked(*metadata(bearer())) == "OK"
        bad: list[tuple[tuple[str, str], ...]] = [
            (),
            (("authorization", ""),),
            (("authorization", "Basic YTpi"),),
            (("authorization", f"Bearer {forged}"),),
            (("authorization", "Bearer " + "x" * 5_000),),
            metadata(bearer(aud="other")),
            metadata(bearer(exp=1)),
            (*metadata(bearer()), *metadata(bearer(sub="eve"))),
        ]
        for shown in bad:
            assert await asked(*shown) == "UNAUTHENTICATED", shown
        assert await asked(*metadata(bearer(roles=["operator"]))) == "PERMISSION_DENIED"
        assert (await one.queue.standing(EVENT)).enqueued == 1

    run(redis_url, test, given={"verifier": verifier()})


def test_strangers_ask_for_health_and_for_nothing_else(redis_url: str) -> None:
    async def test(one: Served) -> None:
        health: Any = health_pb2_grpc.HealthStub(one.channel)
        for name in ("", "seatstream.booking.v1.BookingWorkerService"):
            told = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert told.status == SERVING
        assert await code(health.Check(health_pb2.HealthCheckRequest(service="x"))) == "NOT_FOUND"
        watching = health.Watch(health_pb2.HealthCheckRequest(service="made up"), timeout=WAIT_S)
        assert await code(watching.read()) == "UNAUTHENTICATED"
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(one.channel)
        asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
        listing = reflection.ServerReflectionInfo(iter(asked), timeout=WAIT_S)
        assert await code(listing.read()) == "UNAUTHENTICATED"
        # A stream that says nothing is not kept.
        silent = reflection.ServerReflectionInfo(timeout=WAIT_S)
        assert await code(silent.read()) == "UNAUTHENTICATED"
        listing = reflection.ServerReflectionInfo(iter(asked), metadata=of("ann"), timeout=WAIT_S)
        listed = (await listing.read()).list_services_response.service
        assert "seatstream.booking.v1.BookingWorkerService" in {one.name for one in listed}
        # Newer clients ask by another name, with the same messages.
        for shown, expected in ((of("ann"), "OK"), ((), "UNAUTHENTICATED")):
            newer: Any = one.channel.stream_stream(
                f"/{REFLECTION}/ServerReflectionInfo",
                reflection_pb2.ServerReflectionRequest.SerializeToString,
                reflection_pb2.ServerReflectionResponse.FromString,
            )
            call = newer(iter(asked), metadata=shown, timeout=WAIT_S)
            assert await code(call.read()) == expected
        await one.server.drain()
        told = await health.Check(health_pb2.HealthCheckRequest())
        assert told.status == health_pb2.HealthCheckResponse.NOT_SERVING

    run(redis_url, test)


HOSTILE = {
    "no message": (b"\xff" * 40, "INVALID_ARGUMENT"),
    "a text that is not UTF-8": (b"\x0a\x02\xc3\x28", "INVALID_ARGUMENT"),
    "a text with a surrogate": (b"\x1a\x03\xed\xa0\x80", "INVALID_ARGUMENT"),
    "a length beyond the end": (b"\x0a\x7f" + b"k", "INVALID_ARGUMENT"),
    "a varint that never ends": (b"\x10" + b"\xff" * 11, "INVALID_ARGUMENT"),
    "groups in groups": (b"\x0b" * 2_000, "INVALID_ARGUMENT"),
    "nothing": (b"", "INVALID_ARGUMENT"),
    "a number that is no event": (wish(event_id=-(2**63)).SerializeToString(), "INVALID_ARGUMENT"),
    "too much": (wish(section="A" * MESSAGE_BYTES_MAX).SerializeToString(), "RESOURCE_EXHAUSTED"),
    "many seats": (
        wish(seats=[messages.Seat(row=1, seat=at) for at in range(2_000)]).SerializeToString(),
        "INVALID_ARGUMENT",
    ),
}


def test_hostile_bytes_are_refused_by_a_code_and_cost_nobody_else_a_call(redis_url: str) -> None:
    async def test(one: Served) -> None:
        for name, (sent, expected) in HOSTILE.items():
            assert await one.code_of(ENQUEUE, sent) == expected, name
        for method in ("GetQueuePosition", "GetQueueStatus", "CancelQueueItem"):
            assert await one.code_of(method, b"\x0a\x02\xc3\x28") == "INVALID_ARGUMENT"
        assert await one.code_of("WatchPosition", b"\xff") == "INVALID_ARGUMENT"
        assert await one.code_of("NoSuchMethod", b"") == "UNIMPLEMENTED"
        large = (*of("ann"), ("x-large", "x" * 60_000))
        assert await one.code_of(ENQUEUE, b"", large) != "OK"
        assert (await one.queue.standing(EVENT)).enqueued == 0
        # Fields of a later release are passed over.
        later = wish().SerializeToString() + b"\xa2\x06\x01x" + b"\xaa\x06\x00"
        assert await one.code_of(ENQUEUE, later) == "OK"
        assert await one.code_of(ENQUEUE, wish().SerializeToString()) == "OK"
        assert (await one.queue.standing(EVENT)).enqueued == 1

    run(redis_url, test)


def test_who_speaks_no_http2_is_hung_up_and_nobody_else_hears_of_it(redis_url: str) -> None:
    def shout(port: int) -> None:
        for said in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01" + b"\xff" * 200,
            os.urandom(4_096),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as stranger:
                stranger.sendall(said)
                try:
                    while stranger.recv(4_096):
                        pass
                except ConnectionError:
                    pass

    async def test(one: Served) -> None:
        await asyncio.to_thread(shout, one.server.port)
        assert await code(one.stub.EnqueueBooking(wish(), metadata=of("ann"))) == "OK"

    run(redis_url, test)


def test_a_deadline_that_passes_and_a_redis_that_is_gone_are_told_and_the_same_key_is_one_item(
    server: RedisServer,
) -> None:
    async def test(one: Served) -> None:
        await one.stub.EnqueueBooking(wish(), metadata=of("ann"))
        assert server.child is not None
        os.kill(server.child.pid, signal.SIGSTOP)
        call = one.stub.EnqueueBooking(wish("other"), metadata=of("ann"), timeout=0.05)
        late = await code(call)
        assert late in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}
        call = one.stub.EnqueueBooking(wish("other"), metadata=of("ann"), timeout=WAIT_S)
        assert await code(call) == "UNAVAILABLE"
        os.kill(server.child.pid, signal.SIGCONT)
        # Redis is left alone for a moment after it did not answer.
        is_answered = False
        async with asyncio.timeout(WAIT_S):
            while not is_answered:
                call = one.stub.EnqueueBooking(wish("other"), metadata=of("ann"))
                is_answered = await code(call) == "OK"
        answer = await one.stub.EnqueueBooking(wish("other"), metadata=of("ann"))
        assert answer.position == 2
        assert (await one.queue.standing(EVENT)).enqueued == 2

    free = {"limit_create": None, "limit_network": None}
    run(server.url, test, settings=free)


def test_with_a_certificate_calls_are_encrypted_and_no_others_are_answered(
    redis_url: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("pod")
    roots = grpc.ssl_channel_credentials(authority.ca.read_bytes())
    settings = {"grpc_certificate": str(pair.cert), "grpc_key": str(pair.key)}

    async def test(one: Served) -> None:
        assert await code(one.stub.EnqueueBooking(wish(), metadata=of("ann"))) == "OK"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{one.server.port}") as plain:
            call: Any = plain.unary_unary(SERVICE + ENQUEUE)
            assert await code(call(b"", metadata=of("ann"), timeout=WAIT_S)) == "UNAVAILABLE"
        stranger = grpc.ssl_channel_credentials(Authority(tmp_path, "stranger").ca.read_bytes())
        async with grpc.aio.secure_channel(f"127.0.0.1:{one.server.port}", stranger) as other:
            call = other.unary_unary(SERVICE + ENQUEUE)
            assert await code(call(b"", metadata=of("ann"), timeout=WAIT_S)) == "UNAVAILABLE"

    run(redis_url, test, credentials=roots, settings=settings)


def test_a_port_that_is_taken_and_a_key_that_is_none_are_told_before_anything_is_answered(
    tmp_path: Path,
) -> None:
    async def go() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            pod = whole_pod()
            pod.settings = pod.settings.__class__(grpc_port=taken.getsockname()[1])
            with pytest.raises(PortUnusable):
                BookingServer(pod)
        pod = whole_pod()
        pod.settings = pod.settings.__class__(grpc_certificate="none", grpc_key="none")
        with pytest.raises(PortUnusable):
            BookingServer(pod)

    asyncio.run(go())
