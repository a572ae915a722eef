"""Entity tags: the same for the same content in every pod, whatever its age."""

import re
from hashlib import blake2b
from typing import Final

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
