"""The keys that tickets are signed with: Ed25519, as JSON Web Tokens that doors check offline.

A pod signs when a ticket is looked at. Ed25519 needs no randomness, so the same ticket has the
same code at every pod that has the same key. Workers have no key, and nothing signed is stored.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_encode

TYPE: Final = "ticket+jwt"
"""No access token is of this type: nobody can use one for the other."""

ALGORITHM: Final = "EdDSA"

_CODES_KEPT: Final = 8_192
"""Codes of tickets that were looked at last: who polls has the same ones each time."""


class TicketKeys:
    """What codes of tickets are signed with, and what they are checked with.

    key:    PEM of the Ed25519 private key that signs; empty where nothing is signed.
    others: PEMs of those that signed before, whose codes are still good, and that will sign next,
            whose codes another pod may give out already.

    Raises ValueError for anything else.
    """

    def __init__(self, key: str, *others: str) -> None:
        self._key = private_key(key) if key else None
        known = [self._key] if self._key is not None else []
        known += [private_key(other) for other in others if other]
        self._public = [_public(one) for one in known]
        self._code = lru_cache(_CODES_KEPT)(self._signed)

    @property
    def can_sign(self) -> bool:
        return self._key is not None

    def code(self, claims: Mapping[str, Any]) -> str:
        """Return the code that says this of a ticket."""
        return self._code(tuple(claims.items()))

    def _signed(self, claims: tuple[tuple[str, Any], ...]) -> str:
        assert self._key is not None, "nobody signs here"
        headers = {"kid": self._public[0]["kid"], "typ": TYPE}
        return jwt.encode(dict(claims), self._key, algorithm=ALGORITHM, headers=headers)

    def jwks(self) -> dict[str, Any]:
        """Return the set of keys that codes are checked with, the signing one first."""
        return {"keys": self._public}


def private_key(pem: str) -> Ed25519PrivateKey:
    """Return the key in a PEM; raises ValueError, without a word of the text, for any other."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("no PEM of a private key without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        message = "a key for something else than Ed25519"
        raise ValueError(message)  # noqa: TRY004 (settings tell values, not types)
    return key


def _public(key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the public half as a JSON Web Key, named by its thumbprint (RFC 7638)."""
    whole = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    named = {name: whole[name] for name in ("crv", "kty", "x")}
    canonical = json.dumps(named, separators=(",", ":"), sort_keys=True).encode()
    kid = base64url_encode(sha256(canonical).digest()).decode()
    return {**named, "kid": kid, "alg": ALGORITHM, "use": "sig"}
