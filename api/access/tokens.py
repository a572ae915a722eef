"""The keys that tokens are verified with: a JWKS file or address, read again while the pod runs.

Which algorithm a key is for follows from the key alone, never from a token. Keys that are not
listed here are passed over: RSA of 2,048 bits or more, EC on P-256, Ed25519. Shared secrets are
no keys: whoever verifies with one could also issue. Each entry of a set is judged by itself: what
cannot be used takes nothing from the others.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from api.web.logs import log

ANSWER_TIMEOUT_S: Final = 5.0
DOCUMENT_BYTES_MAX: Final = 1 << 20
RELOAD_S: Final = 60.0
ASK_AGAIN_S: Final = 10.0
"""An unknown key id makes the keys be read again, but not more often than this."""

# What PyJWT calls the algorithm, and the names that tokens and keys may give it (RFC 9864).
_ALGORITHMS: Final[Mapping[tuple[Any, Any], tuple[str, frozenset[str]]]] = {
    ("RSA", None): ("RS256", frozenset({"RS256"})),
    ("EC", "P-256"): ("ES256", frozenset({"ES256"})),
    ("OKP", "Ed25519"): ("EdDSA", frozenset({"EdDSA", "Ed25519"})),
}
_PUBLIC: Final = ("kty", "crv", "x", "y", "n", "e")
_RSA_BITS: Final = range(2_048, 8_193)


class KeysUnavailable(Exception):
    """The keys cannot be read, or there is none among them that can be used.

    Operator action: correct SEATSTREAM_API_JWKS, or what it names.
    """


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key and the one algorithm that it is for.

    algorithms: names of it; a token says one of them.
    """

    algorithms: frozenset[str]
    algorithm: jwt.algorithms.Algorithm
    key: Any

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        return self.algorithm.verify(signed, self.key, signature)


Keys = Mapping[str, tuple[VerifyingKey, ...]]


class KeySet:
    """The keys of one source; `keys` is replaced as a whole when the source has changed.

    keys: by key id, of which there may be several while keys change; those without are under "".
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._document = b""
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self.keys: Keys = {}
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
            except Exception:  # noqa: BLE001  (else a key that was withdrawn would go on for ever)
                log.exception("keys stay as they are")


def is_address(source: str) -> bool:
    return "://" in source


def read(source: str) -> bytes:
    """Return the document; raises KeysUnavailable."""
    try:
        if not is_address(source):
            with Path(source).open("rb") as file:
                return bounded(file.read(DOCUMENT_BYTES_MAX + 1))
        if not may_ask(source):
            raise KeysUnavailable("keys come from a file, over https, or from this machine")
        request = Request(source, headers={"Accept": "application/json"})  # noqa: S310  (checked)
        with build_opener(_NoRedirect).open(request, timeout=ANSWER_TIMEOUT_S) as answer:
            return bounded(answer.read(DOCUMENT_BYTES_MAX + 1))
    except HTTPError as refused:
        refused.close()
        raise KeysUnavailable(f"HTTPError: {refused}") from refused
    except (OSError, ValueError, HTTPException) as error:
        raise KeysUnavailable(f"{type(error).__name__}: {error}") from error


def bounded(document: bytes) -> bytes:
    """Return the document; raises KeysUnavailable where it is too large."""
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


def parsed(document: bytes) -> dict[str, tuple[VerifyingKey, ...]]:
    """Return the usable keys of a JWKS by key id; raises KeysUnavailable where there is none."""
    try:
        listed = json.loads(document)["keys"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise KeysUnavailable(f"not a JWKS document: {type(error).__name__}") from error
    if not isinstance(listed, list):
        raise KeysUnavailable("not a JWKS document: `keys` is no list")
    keys: dict[str, tuple[VerifyingKey, ...]] = {}
    for number, jwk in enumerate(listed):
        found = usable(jwk)
        if isinstance(found, str):
            log.info("key %d of the set is passed over: %s", number, found)
            continue
        key_id, key = found
        keys[key_id] = (*keys.get(key_id, ()), key)
    if not keys:
        raise KeysUnavailable(f"no usable key: {_USABLE} for signing")
    return keys


_USABLE: Final = "RSA of 2048 to 8192 bits, EC P-256 or Ed25519"


def usable(jwk: Any) -> tuple[str, VerifyingKey] | str:
    """Return id and key of one entry, or why it is not of a kind that we verify with."""
    if not isinstance(jwk, dict):
        return "no JSON object"
    # Some sets write what is absent as null.
    told = {name: value for name, value in jwk.items() if value is not None}
    key_id = told.get("kid", "")
    if isinstance(key_id, int) and not isinstance(key_id, bool):
        key_id = str(key_id)
    texts = [key_id, *(told[name] for name in (*_PUBLIC, "use", "alg") if name in told)]
    if not all(isinstance(text, str) for text in texts):
        return "a member that is no text"
    kind, names = _ALGORITHMS.get((told.get("kty"), told.get("crv")), ("", frozenset()))
    if not kind:
        return f"not {_USABLE}"
    operations = told.get("key_ops", ["verify"])
    is_for_signatures = isinstance(operations, list) and "verify" in operations
    if told.get("use", "sig") != "sig" or not is_for_signatures:
        return "not for signatures"
    if told.get("alg", kind) not in names:
        return "for another algorithm"
    if "d" in told:
        log.warning("the set of keys shows a private key: whoever reads it can issue tokens")
    try:
        key = jwt.PyJWK({name: told[name] for name in _PUBLIC if name in told}, kind).key
    except Exception as error:  # noqa: BLE001  (whatever it is, it is this entry's alone)
        return type(error).__name__
    if isinstance(key, RSAPublicKey) and key.key_size not in _RSA_BITS:
        return f"{key.key_size} bits"
    return key_id, VerifyingKey(names, jwt.get_algorithm_by_name(kind), key)


class _NoRedirect(HTTPRedirectHandler):
    """Keys come from the address that was configured, not from where it points to."""

    def redirect_request(self, *_: Any) -> None:
        return None
