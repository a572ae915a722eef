"""The gRPC server of a pod: its port, who may enter, its health, and what it says of itself.

Bytes of strangers reach the library first, since gRPC is one; so everything that it takes in is
bounded, and nobody without a token gets further than to ask whether the server is healthy.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from api.booking import callers
from api.booking.calls import CHECK, Call, ids_in
from api.booking.service import SERVICE, BookingService
from api.pod import Pod
from api.web.problems import Problem

MESSAGE_BYTES_MAX: Final = 16_384
METADATA_BYTES_MAX: Final = 16_384
CALLS_MAX: Final = 4_096
"""Calls under way, streams among them; the next one is refused."""

CONNECTIONS_MAX: Final = 4_096
REFLECTION: Final = "grpc.reflection.v1.ServerReflection"

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", CALLS_MAX),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    # Two servers at one port would each get some of the calls.
    ("grpc.so_reuseport", 0),
    # Who is gone without a word is noticed, and its stream ends.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class PortUnusable(OSError):
    """The port of gRPC cannot be listened at.

    Operator action: end the process that has it, or set SEATSTREAM_API_GRPC_PORT.
    """


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Lets nobody without a valid token call anything but the check of health; notes each call."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        method, metadata = handler_call_details.method, handler_call_details.invocation_metadata
        call = Call(self._pod, method, ids_in(metadata))
        handler = await continuation(handler_call_details)
        call.is_known = handler is not None
        if method != CHECK:
            try:
                call.who = callers.identify(self._pod, metadata)
            except Problem as problem:
                return call.told(_refusing(problem))
        return call.told(_no_method() if handler is None else handler)


def _reflection_of_now(names: tuple[str, ...]) -> Any:
    """Return reflection under the name that newer clients ask for; its messages are the same."""
    servicer: Any = reflection.aio.ReflectionServicer(names)
    made: Any = grpc.stream_stream_rpc_method_handler
    handler = made(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    made = grpc.method_handlers_generic_handler
    return made(REFLECTION, {"ServerReflectionInfo": handler})


def _refusing(problem: Problem) -> Any:
    """Return a handler that refuses at once, before it reads anything."""

    async def refuse(_: Any, context: callers.Context) -> None:
        await callers.refuse(context, problem)

    return _at_once(refuse)


def _no_method() -> Any:
    async def refuse(_: Any, context: callers.Context) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "There is no such method.")

    return _at_once(refuse)


def _at_once(refuse: Callable[[Any, callers.Context], Awaitable[None]]) -> Any:
    # Its types are those of a server with threads.
    made: Any = grpc.stream_stream_rpc_method_handler
    return made(refuse)


class BookingServer:
    """Serves the booking queue of a pod; made on the loop that it runs on.

    port: at which it listens. Raises PortUnusable.
    """

    def __init__(self, pod: Pod) -> None:
        settings = pod.settings
        self._server = grpc.aio.server(
            interceptors=[Doorkeeper(pod)], options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX
        )
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.service = BookingService(pod)
        made: Any = grpc.method_handlers_generic_handler
        self._server.add_generic_rpc_handlers((made(SERVICE, self.service.handlers()),))
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._server.add_generic_rpc_handlers((_reflection_of_now(names),))
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.port = self._listen_at(
            f"{host}:{settings.grpc_port}", settings.grpc_certificate, settings.grpc_key
        )

    def _listen_at(self, address: str, certificate: str, key: str) -> int:
        try:
            if not certificate:
                return self._server.add_insecure_port(address)
            pair = Path(key).read_bytes(), Path(certificate).read_bytes()
            return self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        except (RuntimeError, OSError) as error:
            raise PortUnusable(f"{address}: {error}") from error

    async def start(self) -> None:
        await self._say(_SERVING)
        await self._server.start()

    async def drain(self) -> None:
        """Say that new calls had better go elsewhere; they are answered still."""
        await self._say(_NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, and end when those under way have, or after `grace_s`."""
        await self._server.stop(grace_s)

    async def _say(self, status: Any) -> None:
        for name in ("", SERVICE):
            await self._health.set(name, status)
