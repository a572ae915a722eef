"""Who asks: a bearer token in, a verified identity out, or the problem 401.

A token is verified once and then known until it expires, so that a look-up pays a dict access.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.access.signed_tokens import NotValid, claims_of
from api.access.tokens import KeySet
from api.parts.part import Part
from api.web.metrics import ApiMetrics
from api.web.problems import Problem
from infra.process.metrics import Reading
from state.domain.reasons import ApiReason

BUYER: Final = "buyer"
OPERATOR: Final = "operator"

TOKEN_BYTES_MAX: Final = 4_096
KNOWN_MAX: Final = 20_000
LEEWAY_S: Final = 5
"""How far the clocks of issuer and pod may be apart."""

USER_BYTES_MAX: Final = 64
_PREFIX: Final = b"bearer "


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller.

    user_id: the token's subject, 1 to 64 bytes of UTF-8, printable.
    roles:   those of the token that we know.
    """

    user_id: str
    roles: frozenset[str]


class TokenVerifier(Part):
    """Verifies tokens by the keys of a `KeySet`.

    audience: demanded of every token.
    issuer:   demanded of every token; empty for any.
    """

    name = "verifier"

    def __init__(
        self,
        keys: KeySet,
        audience: str,
        issuer: str = "",
        *,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._clock_s = clock_s
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        self._generation = 0
        self.verified = 0
        self.refused = 0

    async def start(self) -> None:
        await self._keys.start()

    async def close(self) -> None:
        await self._keys.close()

    @property
    def is_ready(self) -> bool:
        return bool(self._keys.keys)

    def readiness(self) -> Mapping[str, bool]:
        return {"keys": self.is_ready}

    def readings(self) -> Iterator[Reading]:
        yield ApiMetrics.tokens_verified, self.verified
        yield ApiMetrics.tokens_refused, self.refused

    def knows(self, authorization: bytes | None) -> Identity | None:
        """Return who shows this Authorization header, if it was verified and counts still.

        Changes nothing: any thread may ask.
        """
        known = None if authorization is None else self._known.get(authorization)
        if (
            known is not None
            and self._clock_s() < known[1]
            and self._generation == self._keys.generation
        ):
            return known[0]
        return None

    def identify(self, authorization: bytes | None) -> Identity:
        """Return who shows this Authorization header; raises Problem (401)."""
        known = self.knows(authorization)
        if known is not None:
            return known
        try:
            return self._verify(authorization)
        except Problem:
            self.refused += 1
            raise

    def _verify(self, authorization: bytes | None) -> Identity:
        if not authorization:
            raise unauthenticated("Send a token: Authorization: Bearer ...")
        if authorization[:7].lower() != _PREFIX or len(authorization) > TOKEN_BYTES_MAX:
            raise unauthenticated("Send one bearer token of at most 4 kB.", "invalid_request")
        try:
            claims = claims_of(
                authorization[7:].strip(b" \t"),
                self._keys,
                audience=self._audience,
                issuer=self._issuer,
                now_s=self._clock_s(),
                leeway_s=LEEWAY_S,
            )
        except NotValid as error:
            raise unauthenticated(
                f"The token is not valid here: {error}.", "invalid_token"
            ) from error
        identity = _identity(claims)
        self._remember(authorization, identity, claims["exp"] + LEEWAY_S)
        return identity

    def _remember(self, authorization: bytes, identity: Identity, expires_s: float) -> None:
        if self._generation != self._keys.generation:
            # A key may have been withdrawn: nothing verified by it counts any more.
            self._known.clear()
            self._generation = self._keys.generation
        if len(self._known) >= KNOWN_MAX:
            # The oldest goes: tokens live for minutes, so it is the next to expire anyway.
            self._known.popitem(last=False)
        self._known[authorization] = (identity, expires_s)
        self.verified += 1


def _identity(claims: dict[str, Any]) -> Identity:
    user_id = claims.get("sub")
    # B63: an empty user would be everybody's, one with control characters nobody can read.
    if not isinstance(user_id, str) or not user_id.isprintable():
        raise unauthenticated("The token's subject cannot be used.", "invalid_token")
    if not 1 <= len(user_id.encode(errors="replace")) <= USER_BYTES_MAX:
        raise unauthenticated("The token's subject cannot be used.", "invalid_token")
    roles = claims.get("roles", [])
    if not isinstance(roles, list):
        raise unauthenticated("The token's roles are no list.", "invalid_token")
    return Identity(user_id, frozenset({BUYER, OPERATOR}.intersection(map(str, roles))))


def unauthenticated(detail: str, error: str = "") -> Problem:
    """Return the 401; error: the word of RFC 6750 where a token was shown."""
    challenge = f'Bearer error="{error}"' if error else "Bearer"
    headers = (("WWW-Authenticate", challenge),)
    return Problem.of(ApiReason.UNAUTHENTICATED, detail, headers=headers)
