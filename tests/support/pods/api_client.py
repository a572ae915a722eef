"""A pod over parts that a test gives it, and who asks it: `Bearer <user>:<role>,<role>`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from support.pods import api_pods

from api.access.identity import Identity, TokenVerifier, unauthenticated
from api.access.tokens import KeySet
from api.settings import ApiSettings

BUYER = {"Authorization": "Bearer buyer-1:buyer"}
OPERATOR = {"Authorization": "Bearer operator-1:operator"}


class TrustingVerifier(TokenVerifier):
    """Believes what a token says, so that a test may be anybody."""

    def __init__(self) -> None:
        super().__init__(KeySet(""), "tests")

    def identify(self, authorization: bytes | None) -> Identity:
        if authorization is None:
            raise unauthenticated("Send a token.")
        user, _, roles = authorization.decode().removeprefix("Bearer ").partition(":")
        return Identity(user, frozenset(roles.split(",")))


@asynccontextmanager
async def client_of(
    settings: ApiSettings | None = None, **parts: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a pod with these parts, which the test starts and stops itself."""
    pod = api_pods.pod_with(settings, verifier=TrustingVerifier(), **parts)
    async with api_pods.client_of(pod) as client:
        yield client
