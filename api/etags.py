"""Entity tags: the same for the same content in every pod, whatever its age."""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(content: Iterable[bytes], note: bytes = b"") -> bytes:
    """Return the strong tag of a content given in pieces.

    note: a word that tells apart what a client must not take for the same, such as `stale`.
    """
    digest = blake2b(digest_size=12)
    for piece in content:
        digest.update(b"%d:" % len(piece))
        digest.update(piece)
    mark = b"-" + note if note else b""
    return b'"%s%s"' % (digest.hexdigest().encode(), mark)


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Say whether an If-None-Match header names this tag, by the weak comparison of RFC 9110."""
    given = if_none_match.strip()
    return given == b"*" or etag in _TAG.findall(given)
