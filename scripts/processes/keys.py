"""Development keys: a private key and its JWKS file in a folder, and tokens signed with it.

For development and demos: whoever can read the folder can be anybody.
"""

import json
import os
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from infra.paths import ROOT

FOLDER = ROOT / ".run" / "dev-keys"
KEY_FILE = "private.pem"
JWKS_FILE = "jwks.json"
KEY_ID = "development"
ROLES = ("buyer", "operator")


class DevelopmentKeys:
    """A private key and the JWKS file of its public half, made when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.jwks = folder / JWKS_FILE
        self._key = self._load() or self._make()

    def token(
        self,
        user_id: str,
        roles: tuple[str, ...] = ("buyer",),
        *,
        audience: str = "seatstream",
        lifetime_s: int = 3_600,
        issuer: str = "",
    ) -> str:
        """Return a signed token."""
        now_s = int(time.time())
        claims = {
            "sub": user_id,
            "aud": audience,
            "roles": list(roles),
            "iat": now_s,
            "exp": now_s + lifetime_s,
        }
        if issuer:
            claims["iss"] = issuer
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": KEY_ID})

    def _load(self) -> Ed25519PrivateKey | None:
        try:
            key = load_pem_private_key((self._folder / KEY_FILE).read_bytes(), password=None)
        except FileNotFoundError:
            return None
        assert isinstance(key, Ed25519PrivateKey), "not a key of ours"
        self._publish(key)
        return key

    def _make(self) -> Ed25519PrivateKey:
        key = Ed25519PrivateKey.generate()
        self._folder.mkdir(parents=True, exist_ok=True)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = self._folder / KEY_FILE
        # Nobody else may read it, from its first byte on.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        self._publish(key)
        return key

    def _publish(self, key: Ed25519PrivateKey) -> None:
        public = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        document = {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "EdDSA"}]}
        text = json.dumps(document, indent=2) + "\n"
        if not self.jwks.exists() or self.jwks.read_text(encoding="utf-8") != text:
            written = self.jwks.with_suffix(".new")
            written.write_text(text, encoding="utf-8")
            written.replace(self.jwks)
