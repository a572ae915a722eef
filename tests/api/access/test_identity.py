"""A token is what its key says it is, for us, and not over; everything else is 401 (B66, B63)."""

import base64
import json
from itertools import count
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from support.pages.tokens import (
    AUDIENCE,
    ED25519,
    NOW_S,
    RSA,
    claims,
    jwks,
    token,
    verifier,
)

from api.access.identity import KNOWN_MAX, LEEWAY_S, Identity, TokenVerifier
from api.access.tokens import KeySet, KeysUnavailable, parsed
from api.web.problems import Problem
from state.domain.reasons import ApiReason


def identified(shown: str, checked: TokenVerifier | None = None) -> Identity:
    return (checked or verifier()).identify(f"Bearer {shown}".encode())


def refusal(shown: str | bytes | None, checked: TokenVerifier | None = None) -> Problem:
    """Return the problem that a whole Authorization header gets."""
    header = shown.encode() if isinstance(shown, str) else shown
    with pytest.raises(Problem) as caught:
        (checked or verifier()).identify(header)
    problem = caught.value
    assert (problem.status, problem.reason) == (401, ApiReason.UNAUTHENTICATED)
    assert dict(problem.headers)["WWW-Authenticate"].startswith("Bearer")
    return problem


def unsigned(header: dict[str, str], body: dict[str, object], signature: bytes = b"") -> str:
    """Return a token made by hand."""
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()


@pytest.mark.parametrize("kid", ["ed", "ec", "rsa"])
def test_a_token_of_each_kind_of_key_names_its_user(kid: str) -> None:
    assert identified(token(kid)) == Identity("alice", frozenset({"buyer"}))


def test_roles_that_we_do_not_know_are_left_out() -> None:
    identity = identified(token(roles=["operator", "root", 7, "buyer"]))
    assert identity.roles == {"operator", "buyer"}
    assert identified(token(roles=None)).roles == frozenset()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YWxpY2U6c2VjcmV0",
        "Bearer a.b.c",
        "Bearer " + "x" * 5_000,
        b"Bearer \xff\xfe\x00",
        "bearer\x00" + token(),
    ],
)
def test_what_is_no_token_is_refused(header: str | bytes | None) -> None:
    refusal(header)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW_S - LEEWAY_S},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"aud": "another"},
        {"aud": None},
        {"aud": [AUDIENCE + "x"]},
        {"nbf": NOW_S * 2},
        {"nbf": NOW_S + LEEWAY_S + 1},
        {"nbf": "now"},
        {"iat": NOW_S + LEEWAY_S + 1},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"aud": {}},
        {"aud": [[AUDIENCE]]},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 65},
        {"sub": "é" * 33},
        {"roles": "operator"},
    ],
    ids=str,
)
def test_expired_foreign_and_unusable_claims_are_refused(changes: dict[str, Any]) -> None:
    refusal(f"Bearer {token(**changes)}")


@given(st.binary(max_size=300))
def test_no_bytes_are_anything_but_a_refusal(shown: bytes) -> None:
    refusal(shown)
    refusal(b"Bearer " + shown)


def test_an_issuer_is_demanded_where_one_is_set() -> None:
    checked = verifier(issuer="https://login.example")
    assert identified(token(iss="https://login.example"), checked).user_id == "alice"
    refusal(f"Bearer {token(iss='https://other.example')}", checked)
    refusal(f"Bearer {token()}", checked)


def test_a_token_is_verified_once_and_until_it_expires() -> None:
    now_s = [float(NOW_S)]
    keys = KeySet("")
    keys.keys = parsed(jwks())
    checked = TokenVerifier(keys, AUDIENCE, clock_s=lambda: now_s[0])
    shown = token()
    assert identified(shown, checked) is identified(shown, checked)
    assert checked.verified == 1
    now_s[0] = NOW_S + 600 + LEEWAY_S
    refusal(f"Bearer {shown}", checked)


def test_a_withdrawn_key_ends_what_it_had_signed() -> None:
    keys = KeySet("")
    keys.keys = parsed(jwks())
    checked = TokenVerifier(keys, AUDIENCE, clock_s=lambda: NOW_S)
    shown = token("ed")
    identified(shown, checked)
    keys.keys = {kid: key for kid, key in keys.keys.items() if kid != "ed"}
    keys.generation += 1
    refusal(f"Bearer {shown}", checked)


def test_the_memory_of_tokens_is_bounded() -> None:
    checked = verifier()
    for number in range(KNOWN_MAX):
        checked._known[b"%d" % number] = (Identity("x", frozenset()), NOW_S + 60)
    identified(token(), checked)
    assert len(checked._known) == KNOWN_MAX


def test_keys_for_encryption_shared_secrets_and_weak_keys_are_passed_over() -> None:
    ours = json.loads(jwks())["keys"]
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}
    crypt = {**ours[0], "kid": "crypt", "use": "enc"}
    other = {**ours[2], "kid": "other", "alg": "PS256"}
    document = json.dumps({"keys": [secret, crypt, other, ours[1]]}).encode()
    assert list(parsed(document)) == ["ec"]


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": 7}', b'{"keys": [7]}', b'{"keys": []}', b"\xff"]
)
def test_a_document_without_usable_keys_is_an_error_for_the_operator(document: bytes) -> None:
    with pytest.raises(KeysUnavailable):
        parsed(document)


def among(*entries: Any) -> TokenVerifier:
    """Return a verifier of a JWKS of these entries."""
    keys = KeySet("")
    keys.keys = parsed(json.dumps({"keys": entries}).encode())
    return TokenVerifier(keys, AUDIENCE, clock_s=lambda: NOW_S)


def public(key: Any, **members: Any) -> dict[str, Any]:
    """Return the entry of a public key, with further members."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else OKPAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), **members}


NEXT_RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.mark.parametrize(
    "bad",
    [
        None, 7, "key", [], {}, {"kid": "only"}, {"kty": None}, {"kty": 7}, {"kty": "RSA"},
        {"kty": ["RSA"]}, {"kty": "RSA", "n": 7, "e": "AQAB"}, {"kty": "RSA", "n": "", "e": ""},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "P-521"},
        {"kty": "OKP", "crv": "Ed25519", "x": "\ud800"}, {"kty": "AKP", "alg": "ML-DSA-44"},
        {"kty": "oct", "k": "c2VjcmV0"}, public(ED25519, kid=["ed"]), public(ED25519, kid={}),
        public(ED25519, use=["sig"]), public(ED25519, alg=7), public(ED25519, key_ops="verify"),
        public(ED25519, key_ops=["sign"]), public(ED25519, key_ops=7), public(ED25519, x="AA"),
        public(RSA, e="AA"), public(RSA, n="A" * 4_000),
    ],
    ids=count(),
)  # fmt: skip
def test_d2_an_entry_that_cannot_be_used_takes_nothing_from_the_others(bad: Any) -> None:
    for entries in ((bad, public(RSA)), (public(RSA), bad)):
        shown = jwt.encode(claims(), RSA, "RS256")
        assert identified(shown, among(*entries)).user_id == "alice"
    with pytest.raises(KeysUnavailable):
        among(bad)


def test_d2_null_is_absent_and_a_number_is_an_id() -> None:
    null = dict.fromkeys(("use", "alg", "kid", "key_ops", "x5c", "crv"))
    shown = jwt.encode(claims(), RSA, "RS256")
    assert identified(shown, among(public(RSA, **null))).user_id == "alice"
    shown = jwt.encode(claims(), RSA, "RS256", headers={"kid": "7"})
    checked = among(public(RSA, kid=7), public(NEXT_RSA, kid=8))
    assert identified(shown, checked).user_id == "alice"


def test_a_private_key_in_the_set_is_told(caplog: pytest.LogCaptureFixture) -> None:
    entry = {**OKPAlgorithm.to_jwk(ED25519, as_dict=True), "kid": "ed"}
    assert identified(token(), among(entry)).user_id == "alice"
    assert "private key" in caplog.text
    assert str(entry["d"]) not in caplog.text


@given(st.text("AZaz09-_.=+/ ", max_size=60))
def test_no_text_like_a_token_is_anything_but_a_refusal(shown: str) -> None:
    refusal(f"Bearer {shown}")
