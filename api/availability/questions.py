"""What a look-up asks: parsed from path and query, or refused with 400."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from api.web.consistency_tokens import Token, tokens_in
from api.web.ids import SECTION
from api.web.problems import Problem, bad
from api.web.whole_numbers import INT64_MAX, whole_in
from state.domain.reasons import ApiReason

SECTIONS_MAX: Final = 100
"""Sections that one question may name."""

STALENESS_MS_MAX: Final = 86_400_000

PREFIX: Final = "/v1/events/"
SUFFIX: Final = "/availability"

_SECTION: Final = re.compile(SECTION)

# The same for the document.
SECTIONS_FORM: Final = rf"^{SECTION}(,{SECTION}){{0,{SECTIONS_MAX - 1}}}$"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about one event.

    sections:         those named, in their order and once each; empty for all.
    max_staleness_ms: age that the answer may have at most; None for any.
    min_version:      version that the one section named must have reached.
    tokens:           the same for any section of the event.
    wait_ms:          how long the answer may take to become so; None for the pod's default.
    refuses:          what is not as demanded is refused, else it is given and called stale; None:
                      refused only where something was demanded.
    """

    sections: tuple[str, ...] = ()
    max_staleness_ms: int | None = None
    min_version: int = 0
    tokens: tuple[Token, ...] = ()
    wait_ms: int | None = None
    refuses: bool | None = None

    @property
    def is_plain(self) -> bool:
        """Say whether any answer will do, of whatever age and version."""
        demands = self.max_staleness_ms is not None or self.min_version or self.tokens
        return not demands and not self.refuses

    def about(self, section: str) -> "Question":
        """Return the same question about one section."""
        return replace(self, sections=(section,))

    def min_versions(self, event_id: int) -> dict[str, int]:
        """Return the least version by section; raises Problem (400) for what fits no section."""
        least = dict.fromkeys(self.sections, self.min_version)
        if self.min_version and len(least) != 1:
            bad("query.min_version", "exactly one section beside it; else consistency_token")
        for event, section, version, _ in self.tokens:
            if event != event_id:
                bad("query.consistency_token", "tokens of the event in the path")
            least[section] = max(version, least.get(section, 0))
        return {section: version for section, version in least.items() if version}


def event_id_in(text: str) -> int:
    """Return an event id; raises Problem (400) where it is none."""
    event_id = whole_in(text)
    if event_id is None:
        bad("path.event_id", "a whole number from 0 to 2^63 - 1")
    return event_id


def asked_for(path: str) -> tuple[int, str]:
    """Return event and section of a look-up's path; an empty section for the whole event."""
    match path[len(PREFIX) : -len(SUFFIX)].split("/"):
        case [event]:
            return event_id_in(event), ""
        case [event, "sections", section]:
            if _SECTION.fullmatch(section) is None:
                bad("path.section", "a section id, [A-Z0-9-]{1,32}")
            return event_id_in(event), section
    raise Problem.of(ApiReason.NOT_FOUND, "See /docs for what there is.")


# The same few questions come by the ten thousand; so few, since the longest take 30 kB each.
@lru_cache(maxsize=512)
def question_in(query: bytes) -> Question:
    """Return the question that a query string asks; raises Problem (400)."""
    given = _given(query)
    tokens = given.pop("consistency_token", "")
    question = Question(
        _sections(given.pop("sections", None)),
        _whole(given, "max_staleness_ms", STALENESS_MS_MAX),
        _whole(given, "min_version", INT64_MAX) or 0,
        tokens_in(tokens.split(",") if tokens else (), "query.consistency_token"),
        _whole(given, "wait_ms", STALENESS_MS_MAX),
        _refuses(given.pop("on_stale", None)),
    )
    if given:
        bad("query", "only names that /docs lists")
    return question


def _given(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=8,
        )
    except ValueError:
        bad("query", "name=value pairs in UTF-8")
    given = dict(pairs)
    if len(given) != len(pairs):
        bad("query", "each name once")
    return given


def _sections(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(dict.fromkeys(text.split(",")))
    if len(names) > SECTIONS_MAX or not all(map(_SECTION.fullmatch, names)):
        bad("query.sections", f"1 to {SECTIONS_MAX} section ids, [A-Z0-9-]{{1,32}}, with commas")
    return names


def _whole(given: dict[str, str], name: str, largest: int) -> int | None:
    text = given.pop(name, None)
    if text is None:
        return None
    number = whole_in(text, largest)
    if number is None:
        bad(f"query.{name}", f"a whole number from 0 to {largest}")
    return number


def _refuses(text: str | None) -> bool | None:
    if text not in {None, "serve", "refuse"}:
        bad("query.on_stale", "serve or refuse")
    return None if text is None else text == "refuse"
