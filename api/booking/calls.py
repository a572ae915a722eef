"""One call over gRPC: its ids, and what metrics, span and access log are told of it at its end."""

import asyncio
import inspect
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from grpc_health.v1 import health

from api.access.identity import Identity
from api.booking.callers import CODES, REASON, Context, address_of, answered_with
from api.pod import Pod
from api.web.logs import Ended, correlation_of, tell
from infra.process.log_lines import Correlation, current

METHOD: Final = "gRPC"
CHECK: Final = f"/{health.SERVICE_NAME}/Check"

_STATUSES: Final = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    # As a path that there is not.
    grpc.StatusCode.UNIMPLEMENTED: 404,
    # Of several statuses with one code the first.
    **{code: status for status, code in reversed(tuple(CODES.items()))},
}
"""Which status of HTTP a code is told as; any other is 500."""


def ids_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> Correlation:
    """Return a call's ids: its caller's where they are well formed."""
    texts = [(name, text) for name, text in metadata or () if isinstance(text, str)]
    return correlation_of((name.encode(), text.encode("ascii", "replace")) for name, text in texts)


class Call:
    """One call.

    method: as it was asked for. is_known: there is such a method.
    who: asks; None for nobody known.
    """

    def __init__(self, pod: Pod, method: str, ids: Correlation) -> None:
        self._began_s = time.perf_counter()
        self._pod = pod
        self._method = method
        self._ids = ids
        self.who: Identity | None = None
        self.is_known = True

    def told(self, handler: Any) -> Any:
        """Return the handler of a method, of whose end all hear who shall."""
        kind = ("stream" if handler.request_streaming else "unary") + (
            "_stream" if handler.response_streaming else "_unary"
        )
        method = getattr(handler, kind)

        async def answer(request: Any, context: Context) -> Any:
            with self._until_the_end_of(context, is_stream=handler.response_streaming):
                return await method(request, context)

        async def stream(request: Any, context: Context) -> Any:
            with self._until_the_end_of(context, is_stream=True):
                async for one in method(request, context):
                    yield one

        # A stream may also be one function that writes to the context.
        goes_on = stream if inspect.isasyncgenfunction(method) else answer
        return handler._replace(**{kind: goes_on})

    @contextmanager
    def _until_the_end_of(self, context: Context, *, is_stream: bool) -> Iterator[None]:
        # A call is a task of its own: what is set here is set for nobody else.
        current.set(self._ids)
        context.set_trailing_metadata(answered_with(self._ids))
        code = grpc.StatusCode.UNKNOWN
        try:
            yield
            code = _code_of(context, grpc.StatusCode.OK)
        except (asyncio.CancelledError, GeneratorExit):
            # Its client is gone, or its deadline is over.
            code = grpc.StatusCode.CANCELLED
            raise
        except BaseException:
            code = _code_of(context, code)
            raise
        finally:
            self._tell(context, code, is_stream=is_stream)

    def _tell(self, context: Context, code: grpc.StatusCode, *, is_stream: bool) -> None:
        told = dict(context.trailing_metadata() or ())
        status = _STATUSES.get(code, 500)
        route = self._method if self.is_known else "unknown"
        ended = Ended(
            route="health" if self._method == CHECK else route,
            method=METHOD,
            asked=self._method,
            status=status,
            seconds=time.perf_counter() - self._began_s,
            client=address_of(context),
            correlation=self._ids,
            user=None if self.who is None else self.who.user_id,
            reason=str(told.get(REASON, "")),
            code=code.name,
            is_stream=is_stream,
        )
        tell(self._pod.metrics, ended)


def _code_of(context: Context, other: grpc.StatusCode) -> grpc.StatusCode:
    """Return the code that a call was ended with, or another one where it was ended by nobody."""
    code: Any = context.code()
    return other if code is None else code
