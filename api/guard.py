"""What a documented endpoint demands before it runs: a role, and room under the limits.

    @router.post(..., dependencies=limited("create"))
    async def reserve(who: Buyer, ...)

Look-ups from memory demand a token only: they cost neither broker nor Redis.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Literal

from fastapi import Depends, Request, Security, params
from fastapi.security import HTTPBearer

from api.access.addresses import counted_network
from api.access.identity import BUYER, OPERATOR, Identity
from api.pod import Pod
from api.web.problems import Problem, bad, retry_after
from api.web.requests import Scope
from state.domain.reasons import ApiReason
from state.redis.keys import limit_of_network, limit_of_user

ENTRY_TOKEN: Final = "Seatstream-Entry-Token"  # noqa: S105  (the name of a header)

LimitKind = Literal["create", "cancel", "position", "other"]

# Tells OpenAPI of the scheme; the token itself is read by the verifier.
_SCHEME: Final = HTTPBearer(
    scheme_name="token", bearerFormat="JWT", auto_error=False, description="A JSON Web Token."
)


def pod_of(request: Request) -> Pod:
    """Return the pod that answers, as a dependency."""
    pod: Pod = request.scope["pod"]
    return pod


async def anyone(request: Request, _: Annotated[object, Security(_SCHEME)]) -> Identity:
    """Demand a valid token; raises Problem (401)."""
    identity: Identity | None = getattr(request.state, "identity", None)
    if identity is None:
        header = request.headers.get("authorization")
        shown = None if header is None else header.encode("latin-1")
        identity = request.state.identity = pod_of(request).verifier.identify(shown)
    return identity


Anyone = Annotated[Identity, Depends(anyone)]
"""A parameter of an endpoint: who asks, once it is certain that they may; so are the other two."""


def buyer_in(pod: Pod, scope: Scope) -> tuple[Identity, str]:
    """Return who follows a stream that takes no query, and the `Last-Event-ID` of the request.

    Such streams answer before the documented application does. Raises Problem.
    """
    headers = dict(scope["headers"])
    who = scope["state"]["identity"] = pod.verifier.identify(headers.get(b"authorization"))
    _check_role(who, BUYER)
    if scope["query_string"]:
        bad("query", "nothing")
    return who, headers.get(b"last-event-id", b"").decode("latin-1").strip()


def _check_role(who: Identity, role: str) -> None:
    if role not in who.roles:
        raise Problem.of(ApiReason.NOT_ALLOWED, f"Use a token with the role {role}.")


def _demanding(role: str) -> Callable[[Identity], Awaitable[Identity]]:
    async def demand(identity: Anyone) -> Identity:
        _check_role(identity, role)
        return identity

    return demand


buyer: Final = _demanding(BUYER)
operator: Final = _demanding(OPERATOR)

Buyer = Annotated[Identity, Depends(buyer)]
Operator = Annotated[Identity, Depends(operator)]


async def check_limits(
    pod: Pod, kind: LimitKind, who: Identity, client: str, forwarded: list[str]
) -> None:
    """Count what somebody asks by the limits of user and network; raises Problem (429).

    client: the address that it comes from; forwarded: values of x-forwarded-for.
    """
    settings = pod.settings
    network = counted_network(client, forwarded, settings.trusted_proxies)
    refused = await pod.limits.ask(
        (
            (limit_of_user(kind, who.user_id), getattr(settings, f"limit_{kind}")),
            (limit_of_network("all", network), settings.limit_network),
        )
    )
    if refused is not None:
        whose = ("This user", "This network address")[refused.index]
        raise Problem.of(
            ApiReason.TOO_MANY_REQUESTS,
            f"{whose} has asked too often; come back after the time in Retry-After.",
            headers=(retry_after(refused.retry_ms),),
        )


def limited(kind: LimitKind) -> list[params.Depends]:
    """Return the dependency that counts a request by its user's limit and by its network's."""

    async def count(request: Request, identity: Anyone) -> None:
        client = request.client.host if request.client else ""
        forwarded = request.headers.getlist("x-forwarded-for")
        await check_limits(pod_of(request), kind, identity, client, forwarded)

    return [params.Depends(count)]


LOOKS: Final = limited("position")
"""What every look at what one has counts for."""
