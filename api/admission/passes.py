"""Proofs that clients carry: of the turn at which they wait, and of having been let in.

JSON Web Tokens signed with Ed25519. Anybody who has the public keys checks them offline, and no
pod has to ask Redis whether one is genuine. A proof names event and user: it is no use to others.
"""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from api.access.signed_tokens import NotValid, claims_of
from api.access.tokens import DOCUMENT_BYTES_MAX, KeySet, parsed
from infra.process.environment import BadSetting
from state.domain.waiting.admission import TURN_MAX

SETTING: Final = "SEATSTREAM_API_ADMISSION_KEYS"

QUEUE: Final = "seatstream-queue"
ENTRY: Final = "seatstream-entry"
"""Audiences: a proof of one kind is none of the other, and no token that anybody logs in with."""

QUEUE_S: Final = 7 * 86_400
"""As long as Redis keeps a room that nobody looks after."""

PASS_BYTES_MAX: Final = 1_024
_SEED_BYTES: Final = 32


class KeysUnusable(BadSetting):
    """Turns cannot be signed with what the key file holds.

    Operator action: put a JWKS with a private Ed25519 key at SEATSTREAM_API_ADMISSION_KEYS, such
    as `python -m scripts.processes.admission_key` makes one.
    """


class NotProved(Exception):
    """This proves no turn of this user at this event.

    Operator action: none; the client has its answer.
    """


class Passes:
    """Signs and reads proofs.

    keys: private keys by their ids; the first signs, all of them are believed.
    """

    def __init__(
        self,
        keys: Mapping[str, Ed25519PrivateKey],
        *,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self.private = tuple(keys.values())
        self._key_id, self._key = next(iter(keys.items()))
        self._clock_s = clock_s
        public = [
            {**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"}
            for key_id, key in keys.items()
        ]
        self.jwks: dict[str, list[dict[str, Any]]] = {"keys": public}
        self._believed = KeySet("")
        self._believed.keys = parsed(json.dumps(self.jwks).encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a JWKS file of private keys; raises KeysUnusable."""
        try:
            with path.open("rb") as file:
                listed = json.loads(file.read(DOCUMENT_BYTES_MAX))["keys"]
            keys = {str(jwk["kid"]): _private(jwk) for jwk in listed}
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            # Nothing of a private key becomes part of a message.
            raise KeysUnusable(f"{SETTING}={path}: {type(error).__name__}") from None
        if not keys:
            raise KeysUnusable(f"{SETTING}={path}: no key")
        return cls(keys)

    def queue(self, event_id: int, user_id: str, turn: int) -> str:
        """Return what brings a user back to a turn, whatever Redis has lost."""
        return self._signed(QUEUE, event_id, user_id, turn, int(self._clock_s()) + QUEUE_S)

    def entry(self, event_id: int, user_id: str, turn: int, last_ms: int) -> str:
        """Return what a user is let in with; last_ms: Unix ms at which that ends."""
        return self._signed(ENTRY, event_id, user_id, turn, last_ms // 1000)

    def turn_in(self, text: str, audience: str, event_id: int, user_id: str) -> int:
        """Return the turn that a text proves of a user; raises NotProved."""
        return self._proved(text, audience, event_id, user_id)[0]

    def admission_in(self, text: str, event_id: int, user_id: str) -> tuple[int, int]:
        """Return by which turn a user was let in, and until which Unix ms; raises NotProved."""
        turn, ends_s = self._proved(text, ENTRY, event_id, user_id)
        return turn, 1_000 * ends_s

    def _proved(self, text: str, audience: str, event_id: int, user_id: str) -> tuple[int, int]:
        if len(text) > PASS_BYTES_MAX:
            raise NotProved("longer than any of ours")
        try:
            claims = claims_of(
                text.encode(errors="replace"),
                self._believed,
                audience=audience,
                issuer="",
                now_s=self._clock_s(),
                leeway_s=0,
            )
        except NotValid as error:
            raise NotProved(str(error)) from error
        turn = claims.get("turn")
        if claims.get("sub") != user_id or claims.get("event") != event_id:
            raise NotProved("of another user, or for another event")
        if type(turn) is not int or not 1 <= turn <= TURN_MAX:
            raise NotProved("no turn")
        return turn, int(claims["exp"])

    def _signed(self, audience: str, event_id: int, user_id: str, turn: int, ends_s: int) -> str:
        claims = {
            "aud": audience,
            "sub": user_id,
            "event": event_id,
            "turn": turn,
            "exp": ends_s,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._key_id})


def _private(jwk: Mapping[str, Any]) -> Ed25519PrivateKey:
    """Return the key of one entry; raises ValueError, TypeError or LookupError."""
    if (jwk["kty"], jwk["crv"]) != ("OKP", "Ed25519"):
        raise ValueError("not Ed25519")
    text: str = jwk["d"]
    seed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(seed) != _SEED_BYTES:
        raise ValueError("no seed")
    return Ed25519PrivateKey.from_private_bytes(seed)
