"""Codes are signed with one key, and checked with what the JWKS says of it."""

import json
from hashlib import sha256

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from jwt.utils import base64url_decode
from support.issuing.purchases_asked import pem

from api.access.ticket_keys import TYPE, TicketKeys, private_key

CLAIMS = {"sub": "r1.1.0.2.5", "iat": 3, "row": 2}


def checked(code: str, keys: TicketKeys) -> dict[str, object]:
    """Check a code as a door does: with the published keys and nothing else."""
    published = json.loads(json.dumps(keys.jwks()))
    header = jwt.get_unverified_header(code)
    assert header["typ"] == TYPE
    [key] = [one for one in published["keys"] if one["kid"] == header["kid"]]
    claims: dict[str, object] = jwt.decode(code, jwt.PyJWK(key).key, algorithms=["EdDSA"])
    return claims


def test_a_door_reads_from_a_code_what_was_signed() -> None:
    keys = TicketKeys(pem())
    assert checked(keys.code(CLAIMS), keys) == CLAIMS


def test_a_ticket_has_the_same_code_at_every_pod_and_whenever_it_is_looked_at() -> None:
    codes = {TicketKeys(pem()).code(CLAIMS) for _ in range(3)}
    assert len(codes) == 1


def test_the_key_before_is_published_so_that_its_codes_stay_good() -> None:
    before, now = TicketKeys(pem(1)), TicketKeys(pem(2), pem(1))
    assert checked(before.code(CLAIMS), now) == CLAIMS
    assert checked(now.code(CLAIMS), now) == CLAIMS
    assert len(now.jwks()["keys"]) == 2


def test_the_next_key_is_published_one_roll_before_it_signs() -> None:
    before = TicketKeys(pem(1), pem(2))
    assert jwt.get_unverified_header(before.code(CLAIMS))["kid"] == before.jwks()["keys"][0]["kid"]
    # In the middle of the roll: each pod publishes what any other signs with.
    after = TicketKeys(pem(2), pem(1))
    for pod, other in ((before, after), (after, before)):
        assert checked(pod.code(CLAIMS), other) == CLAIMS


def test_another_key_does_not_check() -> None:
    code = TicketKeys(pem(1)).code(CLAIMS)
    other = TicketKeys(pem(2)).jwks()["keys"][0]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(code, jwt.PyJWK(other).key, algorithms=["EdDSA"])


def test_what_is_published_has_no_private_part_and_is_named_by_its_thumbprint() -> None:
    [key] = TicketKeys(pem()).jwks()["keys"]
    assert set(key) == {"crv", "kty", "x", "kid", "alg", "use"}
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{key["x"]}"}}'.encode()
    assert base64url_decode(key["kid"]) == sha256(canonical).digest()


def test_without_a_key_nothing_is_signed_or_published() -> None:
    keys = TicketKeys("", "")
    assert (keys.can_sign, keys.jwks()) == (False, {"keys": []})


def other_keys() -> list[str]:
    curve = ec.generate_private_key(ec.SECP256R1())
    plain = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own = private_key(pem())
    locked = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    return ["secret text", plain.decode(), locked.decode()]


@pytest.mark.parametrize("number", range(3))
def test_what_is_no_such_key_is_refused_without_a_word_of_it(number: int) -> None:
    text = other_keys()[number]
    with pytest.raises(ValueError, match=r"PEM|Ed25519") as refused:
        private_key(text)
    assert "secret" not in str(refused.value)
