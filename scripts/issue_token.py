"""Issue a development token, signed with a key of this checkout.

Makes an Ed25519 key and its JWKS file where there are none, and prints one token. For development
and demos: whoever can read the folder can be anybody.

Exit codes: 0 done, 2 wrong usage.

Example:
  export SEATSTREAM_API_JWKS=.run/dev-keys/jwks.json
  TOKEN=$(python -m scripts.issue_token --user alice --role buyer)
"""

import argparse
import json
import os
import sys
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


def main() -> int:
    """Print a token; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.issue_token",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--user", default="developer", help="the token's subject")
    parser.add_argument(
        "--role", action="append", choices=ROLES, help="may be repeated; buyer where none is named"
    )
    parser.add_argument("--audience", default="seatstream")
    parser.add_argument("--issuer", default="")
    parser.add_argument("--lifetime-s", type=int, default=3_600)
    parser.add_argument("--keys", type=Path, default=FOLDER, help="folder of key and JWKS file")
    parser.add_argument("--json", action="store_true", help="print token and JWKS path as JSON")
    arguments = parser.parse_args()
    keys = DevelopmentKeys(arguments.keys)
    token = keys.token(
        arguments.user,
        tuple(arguments.role or ("buyer",)),
        audience=arguments.audience,
        lifetime_s=arguments.lifetime_s,
        issuer=arguments.issuer,
    )
    if arguments.json:
        print(json.dumps({"token": token, "jwks": str(keys.jwks)}))
    else:
        print(token)
        print(f"keys to verify it with: {keys.jwks}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
