"""Checks whether the sender of a webhook has the secret: `t=<Unix s>,v1=<hex>` in one header.

The signature is HMAC-SHA256 over `<t>.<raw body>`. So it can be checked before the body is parsed,
and nobody can give an old delivery a new time. This is Stripe's scheme; the mock gateway uses it
too. While a secret is being changed the old and the new one are accepted, and a header may have
several `v1`.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

BODY_BYTES_MAX: Final = 64 * 1024
HEADER_BYTES_MAX: Final = 1024
TOLERANCE_MS: Final = 300_000
SECRETS_MAX: Final = 2
SECRET_BYTES_MIN: Final = 16
SIGNATURES_MAX: Final = 4
_TIMESTAMP: Final = re.compile(rb"0|[1-9][0-9]{0,11}")
_SIGNATURE: Final = re.compile(rb"[0-9a-f]{64}")


class WebhookRefusal(StrEnum):
    """Why a webhook is not believed."""

    TOO_LARGE = "TOO_LARGE"
    NO_SIGNATURE = "NO_SIGNATURE"
    MANY_SIGNATURE_HEADERS = "MANY_SIGNATURE_HEADERS"
    MALFORMED_SIGNATURE = "MALFORMED_SIGNATURE"
    NOT_NOW = "NOT_NOW"
    """Signed for another time: somebody sent it again, or a clock is wrong."""
    WRONG_SIGNATURE = "WRONG_SIGNATURE"
    BAD_BODY = "BAD_BODY"
    """Signed, but unreadable: the body is no JSON object, or has fields of other types."""


class Secrets:
    """One webhook secret, or the new and the old one while they change; no repr shows them."""

    __slots__ = ("_secrets",)

    def __init__(self, *secrets: bytes) -> None:
        if not 1 <= len(secrets) <= SECRETS_MAX:
            raise ValueError(f"one webhook secret, or {SECRETS_MAX} while they change")
        # With an empty secret everybody would be believed.
        if any(len(secret) < SECRET_BYTES_MIN for secret in secrets):
            raise ValueError(f"a webhook secret has at least {SECRET_BYTES_MIN} bytes")
        self._secrets = secrets

    def __repr__(self) -> str:
        return f"Secrets(<{len(self._secrets)}>)"

    def sign(self, content: Sequence[bytes]) -> bytes:
        """Return the signature of the joined content by the first secret, in lower-case hex."""
        return _mac(self._secrets[0], content)

    def signed_any(self, content: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Say in constant time whether one of the signatures is over the joined content."""
        found = False
        for secret in self._secrets:
            wanted = _mac(secret, content)
            for signature in signatures:
                found |= hmac.compare_digest(wanted, signature)
        return found


def _mac(secret: bytes, content: Sequence[bytes]) -> bytes:
    own = hmac.new(secret, digestmod=sha256)
    for part in content:
        own.update(part)
    return own.hexdigest().encode()


def refusal_of(
    header: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    secrets: Secrets,
    now_ms: int,
) -> WebhookRefusal | None:
    """Return why a webhook is not believed; None where a secret signed it within 300 s of now.

    header:  name of the header with the signature, in lower case.
    headers: as received. body: raw bytes. now_ms: Unix ms.
    """
    if len(body) > BODY_BYTES_MAX:
        return WebhookRefusal.TOO_LARGE
    value = only_header(header, headers)
    if isinstance(value, WebhookRefusal):
        return value
    stated = _stated(value)
    if stated is None:
        return WebhookRefusal.MALFORMED_SIGNATURE
    return refusal_of_signed(
        (stated.timestamp_s, b".", body),
        stated.signatures,
        int(stated.timestamp_s) * 1000,
        secrets,
        now_ms,
    )


def only_header(header: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | WebhookRefusal:
    """Return the value of a header that a webhook must have exactly once."""
    given = [value for name, value in headers if name.lower() == header]
    if not given:
        return WebhookRefusal.NO_SIGNATURE
    # Of two such headers one program may read the first, and another the last.
    return given[0] if len(given) == 1 else WebhookRefusal.MANY_SIGNATURE_HEADERS


def refusal_of_signed(
    content: Sequence[bytes],
    signatures: Sequence[bytes],
    signed_ms: int,
    secrets: Secrets,
    now_ms: int,
) -> WebhookRefusal | None:
    """Return why a signature is not believed: it is of another time, or of another secret.

    content:    the signed bytes in parts, one of which holds the time.
    signatures: in lower-case hex.
    signed_ms:  the signed time, Unix ms.
    """
    if abs(now_ms - signed_ms) > TOLERANCE_MS:
        return WebhookRefusal.NOT_NOW
    if not secrets.signed_any(content, signatures):
        return WebhookRefusal.WRONG_SIGNATURE
    return None


@dataclass(frozen=True, slots=True)
class _Stated:
    timestamp_s: bytes
    signatures: tuple[bytes, ...]


def _stated(value: bytes) -> _Stated | None:
    """Return the time and the one to four signatures of a header; None where it is malformed."""
    if len(value) > HEADER_BYTES_MAX:
        return None
    times: list[bytes] = []
    signatures: list[bytes] = []
    for part in value.strip(b" \t").split(b","):
        scheme, equals, text = part.strip(b" \t").partition(b"=")
        if not equals:
            return None
        # A header may have signatures of other schemes (v0) too, which are passed over.
        if scheme == b"t":
            times.append(text)
        elif scheme == b"v1":
            signatures.append(text)
    if len(times) != 1 or not 1 <= len(signatures) <= SIGNATURES_MAX:
        return None
    well_formed = _TIMESTAMP.fullmatch(times[0]) and all(map(_SIGNATURE.fullmatch, signatures))
    return _Stated(times[0], tuple(signatures)) if well_formed else None
