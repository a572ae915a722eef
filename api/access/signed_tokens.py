"""A token's bytes in; what it claims, if one of our keys has signed it, out.

No library is given a token before it has the shape of one: three parts of base64url, a header of
one JSON object with an algorithm and perhaps a key id, nothing that it calls critical. The key
decides which algorithm is used; what the token says of it is compared, and never believed.
"""

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import orjson

from api.access.tokens import KeySet, VerifyingKey
from api.web.problems import Problem
from api.web.requests import check_json

# Some issuers pad their parts, which RFC 7515 does not.
_PART: Final = rb"([A-Za-z0-9_-]+)={0,2}"
_COMPACT: Final = re.compile(rb"(" + _PART + rb"\." + _PART + rb")\." + _PART)

TRIED_MAX: Final = 16
"""Keys that one token is tried with: a stranger's costs no more than so many checks."""


class NotValid(Exception):
    """The token is not one for us.

    Operator action: none; the client has its answer.
    """


@dataclass(frozen=True, slots=True)
class _Token:
    algorithm: str
    key_id: str
    signed: bytes
    payload: bytes
    signature: bytes


def claims_of(
    token: bytes, keys: KeySet, *, audience: str, issuer: str, now_s: float, leeway_s: float
) -> dict[str, Any]:
    """Return the claims of a token that is signed by one of the keys, for us, and in time.

    issuer: empty for any. now_s: Unix s; leeway_s: how far the issuer's clock may be apart.
    Raises NotValid; wants the keys to be read again where none of them fits.
    """
    read = _read(token)
    tried = [key for key in _candidates(read, keys) if read.algorithm in key.algorithms]
    if not any(key.verifies(read.signed, read.signature) for key in tried[:TRIED_MAX]):
        keys.want()
        raise NotValid("no key of ours signed it")
    claims = _object(read.payload)
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise NotValid("for another audience")
    if issuer and claims.get("iss") != issuer:
        raise NotValid("of another issuer")
    if now_s >= _seconds(claims, "exp") + leeway_s:
        raise NotValid("expired")
    for name in ("nbf", "iat"):
        if claims.get(name) is not None and _seconds(claims, name) > now_s + leeway_s:
            raise NotValid("not yet valid")
    return claims


def _candidates(token: _Token, keys: KeySet) -> tuple[VerifyingKey, ...]:
    by_id = keys.keys
    if not token.key_id:
        return tuple(key for listed in by_id.values() for key in listed)
    # A set without key ids may be that of an issuer whose tokens have them.
    return by_id.get(token.key_id) or by_id.get("", ())


def _read(token: bytes) -> _Token:
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise NotValid("not three parts of base64url")
    signed, *parts = match.groups()
    try:
        header, payload, signature = (
            urlsafe_b64decode(part + b"=" * (-len(part) % 4)) for part in parts
        )
    except ValueError as error:
        raise NotValid("not base64url") from error
    told = _object(header)
    algorithm, key_id = told.get("alg"), told.get("kid")
    # Whoever calls something critical is refused by who does not know it; we know nothing such.
    if not isinstance(algorithm, str) or "crit" in told or "b64" in told:
        raise NotValid("a header that we do not understand")
    if key_id is not None and not isinstance(key_id, str):
        raise NotValid("a key id that is no text")
    return _Token(algorithm, key_id or "", signed, payload, signature)


def _object(text: bytes) -> dict[str, Any]:
    try:
        check_json(text)
    except Problem as problem:
        raise NotValid("not one JSON text") from problem
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise NotValid("no JSON object")
    return found


def _seconds(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise NotValid(f"{name} is no time")
    return value
