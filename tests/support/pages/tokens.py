"""Keys and tokens of tests: real ones, and those that an attacker would send."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from api.access.identity import Identity, TokenVerifier
from api.access.tokens import KeySet, parsed

NOW_S = 1_900_000_000
AUDIENCE = "seatstream"

ED25519 = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
STRANGER = ed25519.Ed25519PrivateKey.generate()

ALGORITHM = {"ed": "EdDSA", "ec": "ES256", "rsa": "RS256"}
KEY: dict[str, Any] = {"ed": ED25519, "ec": P256, "rsa": RSA}


def jwks() -> bytes:
    """Return the document of our three public keys."""
    keys = [
        {**OKPAlgorithm.to_jwk(ED25519.public_key(), as_dict=True), "kid": "ed"},
        {**ECAlgorithm(ECAlgorithm.SHA256).to_jwk(P256.public_key(), as_dict=True), "kid": "ec"},
        {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "rsa"},
    ]
    return json.dumps({"keys": keys}).encode()


def verifier(issuer: str = "", now_s: float = NOW_S) -> TokenVerifier:
    """Return a verifier of our keys; it reads no file and its clock stands still."""
    keys = KeySet("")
    keys.keys = parsed(jwks())
    return TokenVerifier(keys, AUDIENCE, issuer, clock_s=lambda: now_s)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token; None leaves one out."""
    good = {"sub": "alice", "aud": AUDIENCE, "roles": ["buyer"], "exp": NOW_S + 600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(kid: str = "ed", **changes: Any) -> str:
    """Return a token signed with one of our keys."""
    return jwt.encode(claims(**changes), KEY[kid], ALGORITHM[kid], headers={"kid": kid})


def bearer(**changes: Any) -> dict[str, str]:
    """Return the header of a good token."""
    return {"Authorization": f"Bearer {token(**changes)}"}


def write_jwks(folder: Path) -> Path:
    path = folder / "jwks.json"
    path.write_bytes(jwks())
    return path


def verified(jwks: Path, token: str) -> Identity:
    """Return whom a pod that reads this JWKS file takes the token for."""

    async def go() -> Identity:
        verifier = TokenVerifier(KeySet(str(jwks)), "seatstream")
        await verifier.start()
        try:
            return verifier.identify(f"Bearer {token}".encode())
        finally:
            await verifier.close()

    return asyncio.run(go())
