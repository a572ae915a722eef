"""Entity tags: the same for the same content in every pod, whatever its age."""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from fastapi import Request, Response

UNMODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "As the ETag in If-None-Match says."}
}
"""For the document."""

_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(content: bytes) -> bytes:
    """Return the strong tag of a content."""
    return b'"%b"' % blake2b(content, digest_size=12).hexdigest().encode()


def noted(etag: bytes, note: bytes) -> bytes:
    """Return another tag for what a client must not take for the same, such as `stale`."""
    return b'%b-%b"' % (etag[:-1], note)


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Say whether an If-None-Match header names this tag, by the weak comparison of RFC 9110."""
    given = if_none_match.strip()
    return given == b"*" or etag in _TAG.findall(given)


def unless_known(request: Request, body: bytes, headers: Mapping[str, str]) -> Response:
    """Return a body of JSON with its headers, or 304 where the client has what `ETag` names."""
    if_none_match = request.headers.get("if-none-match", "").encode("latin-1")
    if matches(if_none_match, headers["ETag"].encode()):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
