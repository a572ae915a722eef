"""Consistency tokens: what a write's answer tells, so that later look-ups see the write."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from api.web.ids import SECTION
from api.web.problems import bad
from api.web.whole_numbers import PATTERN, whole_in
from state.domain.keys import split_section_key

TOKENS_MAX: Final = 100
"""Tokens that one question may name."""

# Section key, version, log time; the last part is missing in tokens of pods from before it.
_TOKEN: Final = re.compile(rf"({PATTERN}-{SECTION}):({PATTERN})(?::({PATTERN}))?")

# The same for the document.
TOKEN_FORM: Final = f"^{_TOKEN.pattern}$"
TOKENS_FORM: Final = f"^{_TOKEN.pattern}(,{_TOKEN.pattern})*$"


class Token(NamedTuple):
    """What a write answer told: a version of a section, and the log time at which it was so.

    decided_at_ms: Unix ms; None where the token does not say it.
    """

    event_id: int
    section: str
    version: int
    decided_at_ms: int | None = None


def token_of(event_id: int, section: str, version: int, decided_at_ms: int) -> str:
    """Return what a later look-up names to see this change.

    decided_at_ms: log time of the decision, by which another history of the log is told.
    """
    return f"{event_id}-{section}:{version}:{decided_at_ms}"


def tokens_in(texts: Sequence[str], where: str) -> tuple[Token, ...]:
    """Return what tokens say; raises Problem (400)."""
    tokens = tuple(map(_token, texts[: TOKENS_MAX + 1]))
    if None in tokens or len(tokens) > TOKENS_MAX:
        bad(where, "tokens of our answers")
    return tuple(token for token in tokens if token is not None)


def _token(text: str) -> Token | None:
    match = _TOKEN.fullmatch(text)
    key = None if match is None else split_section_key(match[1].encode())
    if match is None or key is None:
        return None
    version = whole_in(match[2])
    decided_at_ms = None if match[3] is None else whole_in(match[3])
    if version is None or (decided_at_ms is None and match[3] is not None):
        return None
    return Token(*key, version, decided_at_ms)
