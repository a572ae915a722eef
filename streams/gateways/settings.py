"""Parsers of gateways' settings: addresses, API keys, webhook secrets."""

import secrets as randomness
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from infra.process.environment import Environment
from streams.gateways.webhooks import SECRET_BYTES_MIN, Secrets

Value = TypeVar("Value")


def account_in(read: Environment, prefix: str, default_base: str) -> tuple[str, str, Secrets]:
    """Return address, API key and webhook secrets of an account that takes real money.

    They come from PREFIX_API_BASE, _API_KEY, _WEBHOOK_SECRET and _OLD_WEBHOOK_SECRET; only the
    address has a default.
    """
    return (
        read(f"{prefix}_API_BASE", private_url, default_base),
        required_key(read, f"{prefix}_API_KEY"),
        secrets_of(read, f"{prefix}_WEBHOOK_SECRET", f"{prefix}_OLD_WEBHOOK_SECRET"),
    )


def required_key(read: Environment, name: str) -> str:
    """Return the API key in NAME or in the file NAME_FILE; note a fault where there is none."""
    return _required(read, name, header_text, "")


def secrets_of(read: Environment, name: str, old_name: str, default: bytes = b"") -> Secrets:
    """Return the webhook secrets in NAME and OLD_NAME, or in their files; the old may be absent.

    Where NAME is not set and there is no default, this notes a fault, and returns a random secret,
    by which nobody is believed.
    """
    secret = _required(read, name, webhook_secret, default)
    old = read.secret(old_name, webhook_secret, b"")
    new = secret or randomness.token_bytes(SECRET_BYTES_MIN)
    return Secrets(new, old) if old else Secrets(new)


def _required(
    read: Environment, name: str, parse: Callable[[str], Value], default: Value
) -> Value:
    faults = len(read.faults)
    value = read.secret(name, parse, default)
    if not value and len(read.faults) == faults:
        read.refuse(f"{name}: not set, and there is no default")
    return value


def webhook_secret(text: str) -> bytes:
    """Parse a webhook secret; ValueError where it is too short."""
    if len(text.encode()) < SECRET_BYTES_MIN:
        raise ValueError(f"a secret has at least {SECRET_BYTES_MIN} bytes")
    return text.encode()


def header_text(text: str) -> str:
    """Parse the value of an HTTP header."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError("printable ASCII only")
    return text


def base_url(text: str) -> str:
    """Parse an HTTP address that paths can be appended to."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http:// or https:// address")
    # `parts.port` raises ValueError where the port is no number up to 65535.
    if parts.port == 0:
        raise ValueError("nobody listens at port 0")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address without user, query and fragment")
    return text


def private_url(text: str) -> str:
    """Parse an address that may be sent a live API key: over TLS, or on this machine."""
    parts = urlsplit(base_url(text))
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("https:// only, but for an address of this machine")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
