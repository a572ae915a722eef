"""The keys that tokens are verified with: a JWKS file or address, read again while the pod runs.

Which algorithm a key is for follows from the key alone, never from a token. Keys that are not
listed here are passed over: RSA of 2,048 bits or more, EC on P-256, Ed25519. Shared secrets are
no keys: whoever verifies with one could also issue.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from api.logs import log

ANSWER_TIMEOUT_S: Final = 5.0
DOCUMENT_BYTES_MAX: Final = 1 << 20
RELOAD_S: Final = 60.0
ASK_AGAIN_S: Final = 10.0
"""An unknown key id makes the keys be read again, but not more often than this."""

_ALGORITHM: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_RSA_BITS_MIN: Final = 2_048


class KeysUnavailable(Exception):
    """The keys cannot be read, or there is none among them that can be used.

    Operator action: correct SEATSTREAM_API_JWKS, or what it names.
    """


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key and the one algorithm that it is for."""

    algorithm: str
    key: Any


class KeySet:
    """The keys of one source; `keys` is replaced as a whole when the source has changed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._document = b""
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self.keys: Mapping[str, VerifyingKey] = {}
        self.generation = 0

    async def start(self) -> None:
        """Read the keys, and keep them fresh from now on; raises KeysUnavailable for a file.

        An address that does not answer yet is asked again: the pod is not ready so long.
        """
        if not self._source:
            return
        try:
            await self.reload()
        except KeysUnavailable:
            if not is_address(self._source):
                raise
            log.warning("no keys to verify tokens with yet")
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def want(self) -> None:
        """Have the keys read again soon: a token names one that is not among them."""
        self._wanted.set()

    async def reload(self) -> None:
        """Read the source now; raises KeysUnavailable and then keeps the keys that were there."""
        document = await asyncio.to_thread(read, self._source)
        if document != self._document:
            self.keys = parsed(document)
            self._document = document
            self.generation += 1

    async def _follow(self) -> None:
        while True:
            # The pause bounds how often strangers with made-up key ids can have us ask.
            await asyncio.sleep(ASK_AGAIN_S if self.keys else 1.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(RELOAD_S if self.keys else 1.0):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.reload()
            except KeysUnavailable as error:
                log.warning("keys stay as they are: %s", error)


def is_address(source: str) -> bool:
    return "://" in source


def read(source: str) -> bytes:
    """Return the document; raises KeysUnavailable."""
    try:
        if not is_address(source):
            return Path(source).read_bytes()
        if not may_ask(source):
            raise KeysUnavailable("keys come from a file, over https, or from this machine")
        request = Request(source, headers={"Accept": "application/json"})  # noqa: S310  (checked)
        with build_opener(_NoRedirect).open(request, timeout=ANSWER_TIMEOUT_S) as answer:
            document: bytes = answer.read(DOCUMENT_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise KeysUnavailable(f"{type(error).__name__}: {error}") from error
    if len(document) > DOCUMENT_BYTES_MAX:
        raise KeysUnavailable("the document is too large")
    return document


def may_ask(address: str) -> bool:
    """Say whether keys may come from an address: nobody may put theirs in on the way."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    with suppress(ValueError):
        return parts.scheme == "http" and ip_address(host).is_loopback
    return parts.scheme == "http" and host == "localhost"


def parsed(document: bytes) -> dict[str, VerifyingKey]:
    """Return the usable keys of a JWKS by key id; raises KeysUnavailable where there is none."""
    try:
        listed = json.loads(document)["keys"]
        found = [(str(jwk.get("kid", "")), usable(jwk)) for jwk in listed]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise KeysUnavailable(f"not a JWKS document: {type(error).__name__}") from error
    keys = {key_id: key for key_id, key in found if key is not None}
    if not keys:
        raise KeysUnavailable("no usable key: RSA >= 2048 bits, EC P-256 or Ed25519 for signing")
    return keys


def usable(jwk: Mapping[str, Any]) -> VerifyingKey | None:
    """Return the key of a JWK, or None where it is not of a kind that we verify with."""
    algorithm = _ALGORITHM.get((jwk["kty"], jwk.get("crv")))
    if algorithm is None or jwk.get("use", "sig") != "sig":
        return None
    if jwk.get("alg", algorithm) not in {algorithm, "Ed25519"}:
        return None
    public = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        key = jwt.PyJWK(public, algorithm).key
    except jwt.PyJWTError:
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < _RSA_BITS_MIN:
        return None
    return VerifyingKey(algorithm, key)


class _NoRedirect(HTTPRedirectHandler):
    """Keys come from the address that was configured, not from where it points to."""

    def redirect_request(self, *_: Any) -> None:
        return None
