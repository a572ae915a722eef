"""Who calls over gRPC, and how refusals are told there: the rules are those of HTTP."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn
from urllib.parse import unquote

import grpc

from api.access.addresses import address_in
from api.access.identity import BUYER, Identity, unauthenticated
from api.guard import ENTRY_TOKEN, LimitKind, check_limits
from api.pod import Pod
from api.web.logs import CORRELATION_HEADER, log
from api.web.problems import Problem
from infra.process.log_lines import Correlation, current
from state.domain.booking_queue.queue import QueueAway, QueueUnreadable
from state.domain.reasons import ApiReason
from state.records.booking_queue.wishes import WishUnreadable
from state.redis.line import TooManyAsk

CODES: Final[Mapping[int, grpc.StatusCode]] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.ALREADY_EXISTS,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""Which code a problem's status is told as; any other is INTERNAL."""

REASON: Final = "seatstream-reason"
RETRY_AFTER: Final = "retry-after"

Context = grpc.aio.ServicerContext[Any, Any]


def values_of(metadata: Iterable[tuple[str, str | bytes]] | None, name: str) -> list[str]:
    """Return the texts of a name in metadata; what is bytes is none."""
    found = [value for key, value in metadata or () if key == name.lower()]
    return [value for value in found if isinstance(value, str)]


def identify(pod: Pod, metadata: Iterable[tuple[str, str | bytes]] | None) -> Identity:
    """Return who calls, by the token in the metadata; raises Problem (401)."""
    shown = values_of(metadata, "authorization")
    if len(shown) != 1:
        raise unauthenticated("Send one token: authorization, Bearer ...")
    try:
        return pod.verifier.identify(shown[0].encode("latin-1"))
    except UnicodeEncodeError:
        raise unauthenticated("Send one token: authorization, Bearer ...") from None


async def caller(pod: Pod, context: Context, kind: LimitKind) -> Identity:
    """Return the buyer who calls, once the call is counted; raises Problem (401, 403, 429)."""
    metadata = context.invocation_metadata()
    who = identify(pod, metadata)
    if BUYER not in who.roles:
        raise Problem.of(ApiReason.NOT_ALLOWED, f"Use a token with the role {BUYER}.")
    forwarded = values_of(metadata, "x-forwarded-for")
    await check_limits(pod, kind, who, address_of(context), forwarded)
    return who


def address_of(context: Context) -> str:
    """Return the address that a call comes from, without its port; empty for none."""
    # Such as ipv4:127.0.0.1:5000 or ipv6:%5B::1%5D:5000.
    return str(address_in(unquote(context.peer().partition(":")[2])) or "")


def entry_token_in(context: Context) -> str | None:
    """Return the text that proves that the caller was let in; None where there is none."""
    shown = values_of(context.invocation_metadata(), ENTRY_TOKEN)
    return shown[0] if len(shown) == 1 else None


@asynccontextmanager
async def told(context: Context) -> AsyncIterator[None]:
    """End the call with the code of what goes wrong in the block; nothing of ours is shown."""
    try:
        yield
    except Problem as problem:
        await refuse(context, problem)
    except TooManyAsk:
        await refuse(context, Problem.of(ApiReason.OVERLOADED, "Too many ask; come back shortly."))
    except QueueAway:
        await refuse(
            context,
            Problem.of(
                ApiReason.NOT_READY, "The queue cannot be reached; ask again with the same key."
            ),
        )
    except TimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "It took too long; ask again.")
    except (QueueUnreadable, WishUnreadable) as error:
        log.error("what lies in the booking queue is none of ours: %s", error)
        await context.abort(grpc.StatusCode.INTERNAL, "An error of ours.")
    except grpc.aio.BaseError:
        raise
    except Exception:  # noqa: BLE001  (the client is told nothing of it, and the log all)
        log.exception("a call of gRPC failed")
        await context.abort(grpc.StatusCode.INTERNAL, "An error of ours.")


def answered_with(ids: Correlation) -> tuple[tuple[str, str], ...]:
    """Return the metadata in which a caller finds its call's correlation id again."""
    return ((CORRELATION_HEADER.decode(), ids.id),) if ids.id else ()


async def refuse(context: Context, problem: Problem) -> NoReturn:
    """End the call with a problem: its code, its sentence, its reason."""
    told_with = [(REASON, problem.reason.name), *answered_with(current.get())]
    told_with += [(RETRY_AFTER, value) for name, value in problem.headers if name == "Retry-After"]
    code = CODES.get(problem.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, problem.detail, tuple(told_with))
    raise AssertionError("a call that was aborted goes on")
