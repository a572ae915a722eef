"""What a request's head must be before anybody acts on it: one meaning for every reader.

A proxy in front may read a head otherwise than we do. So what could be read in two ways is refused
and its connection closed: two of what there may be one of, a body whose end is told twice or by a
coding that is not ours, a host that is none.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from api.web.problems import Header, Problem
from api.web.requests import Scope
from state.domain.reasons import ApiReason

ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"transfer-encoding",
    }
)
"""Headers that a request has once; of others the values of several are a list."""

CLOSE: Final[Header] = ("Connection", "close")

# RFC 3986; what stands in brackets is judged by nobody here, for nobody connects to it.
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Za-z:.%~_-]+\])(?::[0-9]{0,5})?"
)


def check_head(scope: Scope) -> None:
    """Raise Problem (400, or 501 for an unknown coding of the body) for an ambiguous head."""
    seen: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in ONCE and name in seen:
            raise _malformed(f"Send the header {name.decode()} once.")
        seen[name] = value
    if not _has_host(seen, scope["http_version"]):
        raise _malformed("Send one header Host that names a host.")
    coding = seen.get(b"transfer-encoding")
    if coding is None:
        return
    codings = [one.strip(b" \t").lower() for one in coding.split(b",")]
    if any(one != b"chunked" for one in codings):
        detail = "Send the body chunked or with its length, in no other transfer coding."
        raise Problem(501, ApiReason.UNSUPPORTED_CONTENT, detail, headers=(CLOSE,))
    if len(codings) > 1 or b"content-length" in seen:
        raise _malformed("Tell the end of the body once: by its length, or chunked.")


def is_plain_head(
    pairs: Sequence[tuple[bytes, bytes]], headers: Mapping[bytes, bytes], version: str
) -> bool:
    """Say whether nothing of a head needs `check_head`; cheap, and False where in doubt.

    headers: the same as `pairs`, by name.
    """
    return (
        len(headers) == len(pairs)
        and _has_host(headers, version)
        and b"transfer-encoding" not in headers
    )


def _has_host(headers: Mapping[bytes, bytes], version: str) -> bool:
    # The server puts an empty one in the place of one that is not there.
    host = headers.get(b"host", b"")
    if not host:
        # HTTP/1.0 knows none yet; the server calls it 1.
        return version in {"1", "1.0"}
    return _is_host(host)


@lru_cache(maxsize=256)
def _is_host(text: bytes) -> bool:
    return _HOST.fullmatch(text) is not None


def _malformed(detail: str) -> Problem:
    return Problem.of(ApiReason.MALFORMED, detail, headers=(CLOSE,))
