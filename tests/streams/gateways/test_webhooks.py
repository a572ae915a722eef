import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.gateways.webhooks import BODY_BYTES_MAX, Secrets, WebhookRefusal, refusal_of

HEADER = b"x-signature"
SECRET = b"a secret of 16 bytes, or more"
OLD = b"the secret that we had before"
NOW_MS = 1_700_000_000_000
NOW_S = NOW_MS // 1000
BODY = b'{"id": "evt_1"}'


def signed(body: bytes = BODY, secret: bytes = SECRET, at_s: int | bytes = NOW_S) -> bytes:
    at = at_s if isinstance(at_s, bytes) else b"%d" % at_s
    return hmac.new(secret, at + b"." + body, sha256).hexdigest().encode()


def stated(body: bytes = BODY, secret: bytes = SECRET, at_s: int | bytes = NOW_S) -> bytes:
    at = at_s if isinstance(at_s, bytes) else b"%d" % at_s
    return b"t=%b,v1=%b" % (at, signed(body, secret, at_s))


def judged(
    *values: bytes, body: bytes = BODY, secrets: tuple[bytes, ...] = (SECRET,)
) -> WebhookRefusal | None:
    headers = [(b"Content-Type", b"x"), *[(b"X-Signature", value) for value in values]]
    return refusal_of(HEADER, headers, body, Secrets(*secrets), NOW_MS)


def test_the_signature_is_that_of_the_scheme() -> None:
    """Worked out by openssl: `printf '1700000000.{}' | openssl dgst -sha256 -hmac "$SECRET"`."""
    value = b"t=1700000000,v1=0e53512e92baf05a09c27bca1d6461e6dcdc625ebf44f482d8e743d66c2253b9"
    assert judged(value, body=b"{}") is None


@given(st.binary(max_size=200), st.integers(-300, 300))
def test_what_the_secret_signed_just_now_is_believed(body: bytes, seconds: int) -> None:
    assert judged(stated(body, at_s=NOW_S + seconds), body=body) is None


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_b69_nothing_else_is_believed_and_nothing_raises(value: bytes, body: bytes) -> None:
    assert judged(value, body=body) in set(WebhookRefusal)


@given(st.data())
def test_b69_one_other_byte_in_the_body_is_refused(data: st.DataObject) -> None:
    body = data.draw(st.binary(min_size=1, max_size=100))
    place = data.draw(st.integers(0, len(body) - 1))
    other = bytes([body[place] ^ data.draw(st.integers(1, 255))])
    changed = body[:place] + other + body[place + 1 :]
    assert judged(stated(body), body=changed) is WebhookRefusal.WRONG_SIGNATURE


REFUSED: dict[str, tuple[tuple[bytes, ...], WebhookRefusal]] = {
    "no header": ((), WebhookRefusal.NO_SIGNATURE),
    "two headers": ((stated(), stated()), WebhookRefusal.MANY_SIGNATURE_HEADERS),
    "empty": ((b"",), WebhookRefusal.MALFORMED_SIGNATURE),
    "no time": ((b"v1=" + signed(),), WebhookRefusal.MALFORMED_SIGNATURE),
    "two times": ((stated() + b",t=1",), WebhookRefusal.MALFORMED_SIGNATURE),
    "no signature": ((b"t=%d" % NOW_S,), WebhookRefusal.MALFORMED_SIGNATURE),
    "another scheme only": (
        (b"t=%d,v0=%b" % (NOW_S, signed()),),
        WebhookRefusal.MALFORMED_SIGNATURE,
    ),
    "bad hex": ((b"t=%d,v1=%b" % (NOW_S, b"g" * 64),), WebhookRefusal.MALFORMED_SIGNATURE),
    "capital hex": (
        (b"t=%d,v1=%b" % (NOW_S, signed().upper()),),
        WebhookRefusal.MALFORMED_SIGNATURE,
    ),
    "short": ((b"t=%d,v1=%b" % (NOW_S, signed()[:-1]),), WebhookRefusal.MALFORMED_SIGNATURE),
    "unicode": (
        (("t=1700000000,v1=" + "é" * 32).encode(),),
        WebhookRefusal.MALFORMED_SIGNATURE,
    ),
    "unicode digits": (
        ("t=\u0661\u0667".encode() + b"0" * 8 + b",v1=" + signed(),),
        WebhookRefusal.MALFORMED_SIGNATURE,
    ),
    "five signatures": (
        (b"t=%d" % NOW_S + (b",v1=" + signed()) * 5,),
        WebhookRefusal.MALFORMED_SIGNATURE,
    ),
    "too long": ((stated() + b",v0=" + b"a" * 1_024,), WebhookRefusal.MALFORMED_SIGNATURE),
    "a negative time": ((stated(at_s=-NOW_S),), WebhookRefusal.MALFORMED_SIGNATURE),
    "a huge time": ((stated(at_s=10**30),), WebhookRefusal.MALFORMED_SIGNATURE),
    "a padded time": ((stated(at_s=b"01700000000"),), WebhookRefusal.MALFORMED_SIGNATURE),
    "a large time": ((stated(at_s=10**12 - 1),), WebhookRefusal.NOT_NOW),
    "time zero": ((stated(at_s=0),), WebhookRefusal.NOT_NOW),
    "301 s ago": ((stated(at_s=NOW_S - 301),), WebhookRefusal.NOT_NOW),
    "in 301 s": ((stated(at_s=NOW_S + 301),), WebhookRefusal.NOT_NOW),
    "another secret": ((stated(secret=OLD),), WebhookRefusal.WRONG_SIGNATURE),
    "an old signature with a new time": (
        (b"t=%d,v1=%b" % (NOW_S, signed(at_s=NOW_S - 1_000)),),
        WebhookRefusal.WRONG_SIGNATURE,
    ),
    "the body alone signed": (
        (b"t=%d,v1=%b" % (NOW_S, hmac.new(SECRET, BODY, sha256).hexdigest().encode()),),
        WebhookRefusal.WRONG_SIGNATURE,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_b69_a_webhook_is_refused_by_name(case: str) -> None:
    values, refusal = REFUSED[case]
    assert judged(*values) is refusal


def test_b69_the_same_json_written_anew_is_another_body() -> None:
    assert judged(stated(), body=b'{"id":"evt_1"}') is WebhookRefusal.WRONG_SIGNATURE


def test_b72_both_secrets_hold_during_rotation_and_the_old_one_not_after_it() -> None:
    for secret in (SECRET, OLD):
        assert judged(stated(secret=secret), secrets=(SECRET, OLD)) is None
    assert judged(stated(secret=OLD), secrets=(SECRET,)) is WebhookRefusal.WRONG_SIGNATURE


def test_one_of_several_signatures_is_enough() -> None:
    value = b"t=%d,v1=%b,v1=%b,v0=x" % (NOW_S, signed(secret=OLD), signed())
    assert judged(value) is None


def test_b74_a_body_over_the_limit_is_refused_before_it_is_looked_at() -> None:
    body = b"x" * BODY_BYTES_MAX
    assert judged(stated(body), body=body) is None
    assert judged(stated(body + b"x"), body=body + b"x") is WebhookRefusal.TOO_LARGE


def test_secrets_are_one_or_two_and_no_short_ones() -> None:
    for secrets in ((), (SECRET, OLD, SECRET), (b"",), (b"short",), (SECRET, b"")):
        with pytest.raises(ValueError, match="secret"):
            Secrets(*secrets)


def test_a_secret_is_in_no_repr() -> None:
    assert SECRET.decode() not in repr(Secrets(SECRET))
