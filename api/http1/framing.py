"""What a request's head must be before anybody acts on it: one meaning for every reader.

A proxy in front may read a head otherwise than we do. So what could be read in two ways is refused
and its connection closed: two of what there may be one of, a body whose end is told twice or by a
coding that is not ours, a host that is none.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

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

HEAD_BYTES_MAX: Final = 65_536
HEADERS_MAX: Final = 100
"""Largest head, and most headers in it."""

LENGTH_DIGITS_MAX: Final = 20
"""Digits of the largest length that parsers read."""

Pair = tuple[bytes, bytes]
Ends = tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}

METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_ORIGIN: Final = re.compile(rb"https?://[^/?]+", re.IGNORECASE)

# RFC 3986; what stands in brackets is judged by nobody here, for nobody connects to it.
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Za-z:.%~_-]+\])(?::[0-9]{0,5})?"
)


def check_head(scope: Scope) -> None:
    """Raise Problem (400, or 501 for an unknown coding of the body) for an ambiguous head."""
    seen: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in ONCE and name in seen:
            raise malformed(f"Send the header {name.decode()} once.")
        seen[name] = value
    if not _has_host(seen, scope["http_version"]):
        raise malformed("Send one header Host that names a host.")
    problem = transfer_problem(scope["headers"])
    if problem is not None:
        raise problem
    if b"transfer-encoding" in seen and scope["http_version"] != "1.1":
        # Who knows no chunks finds another end.
        raise malformed("Send chunks with HTTP/1.1 only.")


def transfer_problem(pairs: Sequence[Pair]) -> Problem | None:
    """Return what is wrong with how a body's end is told; None where nothing is."""
    seen = dict(pairs)
    coding = seen.get(b"transfer-encoding")
    if coding is None:
        return None
    codings = [one.strip(b" \t").lower() for one in coding.split(b",")]
    if any(one != b"chunked" for one in codings):
        detail = "Send the body chunked or with its length, in no other transfer coding."
        return Problem(501, ApiReason.UNSUPPORTED_CONTENT, detail, headers=(CLOSE,))
    if len(codings) > 1 or b"content-length" in seen:
        return malformed("Tell the end of the body once: by its length, or chunked.")
    return None


def is_plain_head(pairs: Sequence[Pair], headers: Mapping[bytes, bytes], version: str) -> bool:
    """Say whether nothing of a head needs `check_head`; cheap, and False where in doubt.

    headers: the same as `pairs`, by name.
    """
    return (
        len(headers) == len(pairs)
        and _has_host(headers, version)
        and b"transfer-encoding" not in headers
    )


def _has_host(headers: Mapping[bytes, bytes], version: str) -> bool:
    host = headers.get(b"host")
    # HTTP/1.0 knows none yet.
    return version == "1.0" if host is None else _is_host(host)


@lru_cache(maxsize=256)
def _is_host(text: bytes) -> bool:
    return _HOST.fullmatch(text) is not None


def path_of(method: bytes, target: bytes) -> bytes:
    """Return the path of a target that does not begin with one; empty where it has none."""
    if target == b"*":
        return target if method == b"OPTIONS" else b""
    found = _ORIGIN.match(target)
    if found is None:
        return b""
    return target[found.end() :] or b"/"


def scope_of(
    method: bytes, target: bytes, version: str, headers: Sequence[Pair], ends: Ends
) -> Scope:
    """Return the ASGI scope of a head; ends: addresses of client and server, where known."""
    path, _, query = target.partition(b"?")
    if path[:1] != b"/":
        path = path_of(method, path)
    text = path.decode("latin-1")
    client, server = ends
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "server": server,
        "client": client,
        "scheme": "http",
        "method": method.decode("latin-1"),
        "root_path": "",
        "path": unquote(text) if "%" in text else text,
        "raw_path": path,
        "query_string": query,
        "headers": headers,
        "state": {},
    }


def head_problem(method: bytes, target: bytes, headers: Sequence[Pair]) -> Problem | None:
    """Return what is wrong with a head that the parser reads; None where nothing is."""
    if len(headers) > HEADERS_MAX:
        return head_too_large()
    is_path = target[:1] == b"/" or path_of(method, target.partition(b"?")[0])
    if not is_path or b"#" in target or not target.isascii():
        return malformed("Send the path of an address of this pod.")
    lengths = [value for name, value in headers if name == b"content-length"]
    if any(len(value) > LENGTH_DIGITS_MAX for value in lengths):
        # Zeros may stand before it, and of many nobody makes a number.
        return malformed("Send the length of the body as a number of some digits.")
    return None


def line_too_long(bytes_max: int) -> Problem:
    """Return the problem of a first line that no client of ours needs."""
    detail = f"Ask for less in one request: a first line of at most {bytes_max} bytes."
    return Problem.of(ApiReason.TARGET_TOO_LONG, detail, headers=(CLOSE,))


def head_too_large() -> Problem:
    return Problem.of(
        ApiReason.HEAD_TOO_LARGE,
        f"Send at most {HEADERS_MAX} headers and {HEAD_BYTES_MAX} bytes of them.",
        headers=(CLOSE,),
    )


def too_slow(head_s: int) -> Problem:
    """Return the problem of a head that has not come whole within so many seconds."""
    detail = f"Send the whole head within {head_s} s."
    return Problem.of(ApiReason.HEAD_TOO_SLOW, detail, headers=(CLOSE,))


def malformed(detail: str) -> Problem:
    return Problem.of(ApiReason.MALFORMED, detail, headers=(CLOSE,))
