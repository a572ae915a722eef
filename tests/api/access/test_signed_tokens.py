"""A token's bytes in, its claims or a refusal out (B66)."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from support.pages.tokens import (
    ALGORITHM,
    AUDIENCE,
    ED25519,
    KEY,
    NOW_S,
    P256,
    RSA,
    STRANGER,
    claims,
    jwks,
    token,
)

from api.access.signed_tokens import TRIED_MAX, NotValid, claims_of
from api.access.tokens import KeySet, parsed

LEEWAY_S = 30.0


def our_keys() -> KeySet:
    keys = KeySet("")
    keys.keys = parsed(jwks())
    return keys


def among(*entries: Any) -> KeySet:
    """Return the keys of a JWKS of these entries."""
    keys = KeySet("")
    keys.keys = parsed(json.dumps({"keys": entries}).encode())
    return keys


def accepted(
    shown: str | bytes, keys: KeySet | None = None, *, issuer: str = "", now_s: float = NOW_S
) -> dict[str, Any]:
    return claims_of(
        shown.encode() if isinstance(shown, str) else shown,
        keys or our_keys(),
        audience=AUDIENCE,
        issuer=issuer,
        now_s=now_s,
        leeway_s=LEEWAY_S,
    )


def refusal(shown: str | bytes, keys: KeySet | None = None, **more: Any) -> str:
    """Return why a token is not valid."""
    with pytest.raises(NotValid) as refused:
        accepted(shown, keys, **more)
    return str(refused.value)


def unsigned(header: dict[str, str], body: dict[str, object], signature: bytes = b"") -> str:
    """Return a token made by hand."""
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()


def test_a_token_without_algorithm_is_refused() -> None:
    for name in ("none", "None", "NONE", ""):
        refusal(unsigned({"alg": name, "kid": "ed"}, claims()))


def test_a_public_key_is_no_shared_secret() -> None:
    """The classic: HMAC over the text of the public RSA key."""
    public = RSA.public_key().public_numbers().n.to_bytes(256, "big")
    forged = jwt.encode(claims(), public, "HS256", headers={"kid": "rsa"})
    refusal(forged)


def test_the_key_decides_the_algorithm() -> None:
    foreign = jwt.encode(claims(), P256, "ES256", headers={"kid": "ed"})
    refusal(foreign)


def test_a_strangers_signature_and_a_key_that_nobody_published_are_refused() -> None:
    for kid in ("ed", "other", "../../etc/passwd"):
        refusal(jwt.encode(claims(), STRANGER, "EdDSA", headers={"kid": kid}))


@given(st.integers(0, 200), st.integers(1, 255))
def test_no_changed_byte_gets_through(place: int, flip: int) -> None:
    good = token().encode()
    place %= len(good)
    changed = good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :]
    # The last characters of base64 have bits that mean nothing.
    if place < len(good) - 2 and good[place : place + 1] != b".":
        refusal(changed)


def public(key: Any, **members: Any) -> dict[str, Any]:
    """Return the entry of a public key, with further members."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else OKPAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), **members}


NEXT_RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.mark.parametrize("ids", [{}, {"kid": "same"}, {"kid": None}])
def test_d2_while_keys_change_tokens_of_both_pass(ids: dict[str, Any]) -> None:
    """Two keys without an id, or with the same, and tokens with and without one."""
    checked = among(public(RSA, **ids), public(NEXT_RSA, **ids))
    for key in (RSA, NEXT_RSA):
        for named in ({}, {"kid": ids.get("kid") or "any"}):
            shown = jwt.encode(claims(), key, "RS256", headers=named)
            assert accepted(shown, checked)["sub"] == "alice"
    refusal(jwt.encode(claims(), STRANGER, "EdDSA"), checked)


def test_d2_a_token_with_an_id_passes_by_a_set_without_any() -> None:
    checked = among(public(RSA))
    shown = jwt.encode(claims(), RSA, "RS256", headers={"kid": "of the issuer"})
    assert accepted(shown, checked)["sub"] == "alice"
    refusal(jwt.encode(claims(), NEXT_RSA, "RS256"), checked)


@pytest.mark.parametrize("of_key", [None, "EdDSA", "Ed25519"])
@pytest.mark.parametrize("of_token", ["EdDSA", "Ed25519"])
def test_d2_both_names_of_ed25519_are_one_algorithm(of_key: str | None, of_token: str) -> None:
    """RFC 9864."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": of_token}).encode()).rstrip(b"=")
    signed = header + b"." + token().encode().split(b".")[1]
    signature = base64.urlsafe_b64encode(ED25519.sign(signed)).rstrip(b"=")
    shown = (signed + b"." + signature).decode()
    assert accepted(shown, among(public(ED25519, alg=of_key)))["sub"] == "alice"


def test_a_token_is_tried_with_a_bounded_number_of_keys() -> None:
    others = [ed25519.Ed25519PrivateKey.generate() for _ in range(TRIED_MAX)]
    entries = [*map(public, others), public(ED25519)]
    shown = jwt.encode(claims(), ED25519, "EdDSA")
    refusal(shown, among(*entries))
    assert accepted(shown, among(*entries[1:]))["sub"] == "alice"


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"[]", b"7", b"null", b"{}", b'{"alg":null}', b'{"alg":7}',
        b'{"alg":["EdDSA"]}',
        b'{"alg":"EdDSA","kid":7}', b'{"alg":"EdDSA","kid":["ed"]}', b'{"alg":"EdDSA","kid":{}}',
        b'{"alg":"EdDSA","crit":["exp"]}', b'{"alg":"EdDSA","crit":[]}',
        b'{"alg":"EdDSA","b64":false,"crit":["b64"]}', b'{"alg":"EdDSA","b64":true}',
        b'{"alg":"none","alg":"EdDSA"}', b'{"alg":"EdDSA","kid":"other","kid":"ed"}',
        b'{"alg":"EdDSA","a":' + b"[" * 1_200 + b"]" * 1_200 + b"}", b'{"alg":"EdDSA","a":NaN}',
        b'\xef\xbb\xbf{"alg":"EdDSA"}', b'{"alg":"EdDSA"}{}', b'{"alg":"eddsa"}', b"\xff",
    ],
)  # fmt: skip
def test_d2_a_header_with_any_other_shape_is_refused_though_our_key_signed_it(
    header: bytes,
) -> None:
    first = base64.urlsafe_b64encode(header).rstrip(b"=")
    signed = first + b"." + token().encode().split(b".")[1]
    signature = base64.urlsafe_b64encode(ED25519.sign(signed)).rstrip(b"=")
    refusal(signed + b"." + signature)


@pytest.mark.parametrize("kid", ["ed", "ec", "rsa"])
@given(st.dictionaries(st.text(max_size=8), st.integers(-(2**53), 2**53) | st.text(), max_size=4))
def test_what_our_key_has_signed_is_claimed_as_it_was_signed(
    kid: str, further: dict[str, Any]
) -> None:
    further = {name: value for name, value in further.items() if name not in ("nbf", "iat", "iss")}
    said = {**further, **claims()}
    shown = jwt.encode(said, KEY[kid], ALGORITHM[kid], headers={"kid": kid})
    assert accepted(shown) == said


@given(
    st.integers(-100, 100),
    st.none() | st.integers(-100, 100),
    st.none() | st.integers(-100, 100),
)
def test_a_token_counts_from_its_begin_to_its_end_give_or_take_the_leeway(
    exp: int, nbf: int | None, iat: int | None
) -> None:
    times = {"exp": exp, "nbf": nbf, "iat": iat}
    said: dict[str, Any] = {name: at if at is None else NOW_S + at for name, at in times.items()}
    shown = token(**said)
    begins = max(at for at in (nbf, iat, -1_000) if at is not None)
    if exp <= -LEEWAY_S:
        assert refusal(shown) == "expired"
    elif begins > LEEWAY_S:
        assert refusal(shown) == "not yet valid"
    else:
        accepted(shown)


@given(st.binary(max_size=300))
def test_no_bytes_are_anything_but_a_refusal(shown: bytes) -> None:
    refusal(shown)


@given(st.text("AZaz09-_.=+/ ", max_size=60))
def test_no_text_like_a_token_is_anything_but_a_refusal(shown: str) -> None:
    refusal(shown)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"aud": "another"}, "for another audience"),
        ({"aud": None}, "for another audience"),
        ({"aud": [AUDIENCE + "x"]}, "for another audience"),
        ({"aud": {AUDIENCE: 1}}, "for another audience"),
        ({"aud": [[AUDIENCE]]}, "for another audience"),
        ({"exp": None}, "exp is no time"),
        ({"exp": "1900000600"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": [NOW_S + 9]}, "exp is no time"),
        ({"nbf": "now"}, "nbf is no time"),
        ({"iat": False}, "iat is no time"),
    ],
)
def test_a_claim_that_cannot_be_used_is_named(change: dict[str, Any], why: str) -> None:
    assert refusal(token(**change)) == why


@pytest.mark.parametrize("exp", [float("nan"), float("inf"), 10**400, 1e308])
def test_b58_a_time_that_no_clock_will_show_is_none_or_far_away(exp: float) -> None:
    """RFC 7519 has numbers; what is none in JSON has no place in a token."""
    if exp == 1e308:
        assert accepted(token(exp=exp))["exp"] == exp
    else:
        refusal(token(exp=exp))


def test_an_audience_may_be_one_of_several() -> None:
    assert accepted(token(aud=["another", AUDIENCE]))["sub"] == "alice"


def test_an_issuer_is_compared_where_one_is_set() -> None:
    ours = "https://login.example"
    assert accepted(token(iss=ours), issuer=ours)["iss"] == ours
    assert accepted(token(iss="https://other.example"))["sub"] == "alice"
    for iss in ("https://other.example", "https://login.example/", None):
        assert refusal(token(iss=iss), issuer=ours) == "of another issuer"


def test_parts_may_be_padded_as_some_issuers_do() -> None:
    shown = token()
    assert accepted(shown + "=" * (-len(shown.split(".")[2]) % 4))["sub"] == "alice"
    for bad in (shown + "===", "=" + shown, shown.replace(".", "=.=", 1)):
        refusal(bad)


def test_keys_are_asked_for_anew_only_where_none_of_ours_signed_it() -> None:
    keys = our_keys()
    accepted(token(), keys)
    refusal(token(aud="another"), keys)
    refusal("a.b", keys)
    assert not keys._wanted.is_set()
    refusal(jwt.encode(claims(), STRANGER, "EdDSA", headers={"kid": "new"}), keys)
    assert keys._wanted.is_set()
