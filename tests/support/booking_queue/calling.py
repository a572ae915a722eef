"""A pod whose booking queue is served over gRPC at a free port, and who calls it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
from redis.asyncio import Redis
from support.pods.whole_pods import EVENT, whole_pod
from support.redis.locking import redis_at

from api.booking.server import BookingServer
from api.parts.booking import RedisBookingDesk
from api.pod import Pod
from schemas.proto import booking_worker_pb2 as messages
from schemas.proto.booking_worker_pb2_grpc import BookingWorkerServiceStub
from state.redis.keys import PREFIX
from state.redis.rate_limit import RateLimits

SERVICE = "/seatstream.booking.v1.BookingWorkerService/"
WAIT_S = 60.0


def of(user: str, *roles: str, **more: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a caller whom a trusting pod believes."""
    shown = f"Bearer {user}:{','.join(roles or ('buyer',))}"
    return (
        ("authorization", shown),
        *((key.replace("_", "-"), word) for key, word in more.items()),
    )


ANN = of("ann")


def wish(key: str = "k", **changes: Any) -> messages.EnqueueBookingRequest:
    fields = {"idempotency_key": key, "event_id": EVENT, "section": "A", "seat_count": 1}
    return messages.EnqueueBookingRequest(**{**fields, **changes})


async def _empty(client: Redis) -> None:
    for pattern in (f"{PREFIX}queue*", f"{PREFIX}limit:*"):
        async for name in client.scan_iter(pattern):
            await client.delete(name)


class Served:
    """A pod, its server, and a channel to it."""

    def __init__(self, pod: Pod, server: BookingServer, channel: grpc.aio.Channel) -> None:
        self.pod = pod
        self.server = server
        self.channel = channel
        self.stub: Any = BookingWorkerServiceStub(channel)  # type: ignore[no-untyped-call]
        self.queue = pod.booking.queue
        self.service = server.service

    async def code_of(self, method: str, sent: bytes, metadata: Any = ANN) -> str:
        """Return the code that raw bytes get."""
        call: Any = self.channel.unary_unary(SERVICE + method)
        try:
            await call(sent, metadata=metadata, timeout=WAIT_S)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return "OK"


@asynccontextmanager
async def served(
    url: str,
    *,
    pod: Pod | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    settings: dict[str, Any] | None = None,
    given: dict[str, Any] | None = None,
    options: Sequence[tuple[str, Any]] = (),
    **of_event: Any,
) -> AsyncIterator[Served]:
    """Give a pod of one event of one section, with an empty queue at this Redis, served.

    given: parts that it has instead. of_event: fields of the event that are not as usual.
    """
    async with redis_at(url) as client:
        await _empty(client)
    pod = pod or whole_pod(**of_event)
    limits, desk = RateLimits(url), RedisBookingDesk(url)
    pod.settings = replace(pod.settings, **(settings or {}))
    pod.given = {**pod.given, "limits": limits, "booking": desk, **(given or {})}
    server = BookingServer(pod)
    await server.start()
    address = f"127.0.0.1:{server.port}"
    channel = (
        grpc.aio.insecure_channel(address, options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options)
    )
    try:
        yield Served(pod, server, channel)
    finally:
        await channel.close()
        await server.stop(0)
        await desk.close()
        await limits.close()
