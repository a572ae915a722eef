"""Whether a webhook comes from who has the secret: `t=<Unix s>,v1=<hex>` in one header.

The signature is HMAC-SHA256 over `<t>.<raw body>`, so it is checked before anything is parsed, and
an old delivery cannot be given a new time. Stripe's scheme, which ours is too. Two secrets are
accepted while they change; a header may have several `v1` for the same reason.
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
    """Signed for another time: sent again by somebody, or a clock is wrong."""
    WRONG_SIGNATURE = "WRONG_SIGNATURE"
    BAD_BODY = "BAD_BODY"
    """Signed, and nothing that we understand: not JSON, or fields of other types."""


class Secrets:
    """One webhook secret, or the new and the old one while they change; in no repr."""

    __slots__ = ("_secrets",)

    def __init__(self, *secrets: bytes) -> None:
        if not 1 <= len(secrets) <= SECRETS_MAX:
            raise ValueError(f"one webhook secret, or {SECRETS_MAX} while they change")
        # Whoever leaves it empty would believe everybody.
        if any(len(secret) < SECRET_BYTES_MIN for secret in secrets):
            raise ValueError(f"a webhook secret has at least {SECRET_BYTES_MIN} bytes")
        self._secrets = secrets

    def __repr__(self) -> str:
        return f"Secrets(<{len(self._secrets)}>)"

    def signed_any(self, content: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Tell in constant time whether one of the signatures is over the joined content."""
        found = False
        for secret in self._secrets:
            own = hmac.new(secret, digestmod=sha256)
            for part in content:
                own.update(part)
            wanted = own.hexdigest().encode()
            for signature in signatures:
                found |= hmac.compare_digest(wanted, signature)
        return found


def refusal_of(
    header: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    secrets: Secrets,
    now_ms: int,
) -> WebhookRefusal | None:
    """Return why a webhook is not believed; None where one of the secrets signed it, just now.

    header:  name of the header with the signature, lower case.
    headers: as received. body: raw. now_ms: Unix ms; 300 s to either side are accepted.
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
    """Return the value of a header of a signature, which there must be one of."""
    given = [value for name, value in headers if name.lower() == header]
    if not given:
        return WebhookRefusal.NO_SIGNATURE
    # Which of two is meant is a question that two readers answer in two ways.
    return given[0] if len(given) == 1 else WebhookRefusal.MANY_SIGNATURE_HEADERS


def refusal_of_signed(
    content: Sequence[bytes],
    signatures: Sequence[bytes],
    signed_ms: int,
    secrets: Secrets,
    now_ms: int,
) -> WebhookRefusal | None:
    """Return why a signature is not believed: made at another time, or by somebody else.

    content: what is signed, in parts, the time in one of them. signatures: in small hex.
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
    """Return what a header says: exactly one time, one to four signatures, all well formed."""
    if len(value) > HEADER_BYTES_MAX:
        return None
    times: list[bytes] = []
    signatures: list[bytes] = []
    for part in value.strip(b" \t").split(b","):
        scheme, equals, text = part.strip(b" \t").partition(b"=")
        if not equals:
            return None
        # Other schemes (v0) stand beside ours, and are not ours to judge.
        if scheme == b"t":
            times.append(text)
        elif scheme == b"v1":
            signatures.append(text)
    if len(times) != 1 or not 1 <= len(signatures) <= SIGNATURES_MAX:
        return None
    well_formed = _TIMESTAMP.fullmatch(times[0]) and all(map(_SIGNATURE.fullmatch, signatures))
    return _Stated(times[0], tuple(signatures)) if well_formed else None
