"""The oldest entry of a bounded memory is found at the same cost however many went before it."""

import ast
from collections import OrderedDict
from pathlib import Path

import pytest
from support.seats.section_commands import IDS

from api.access.identity import TokenVerifier
from api.access.tokens import KeySet
from schemas.topics import RESERVATION_OUTCOMES
from serdes.decoding import TopicDecoder
from state.views.outcomes.contents import OutcomeContents, OutcomeCounters
from streams.change_sections.fold import SectionCache

ROOT = Path(__file__).parents[1]
PACKAGES = ("api", "infra", "schemas", "scripts", "serdes", "state", "streams")


def first_keys(source: str) -> list[int]:
    """Return the lines where a collection is emptied from its first key: `next(iter(...))`.

    A dict finds its first key behind the places of all that was deleted before it: asked once that
    is nothing, in a loop or to delete that key it is what was deleted, again and again.
    """
    emptied = (
        inner
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.While | ast.Delete)
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".pop", "_drop")))
        for inner in ast.walk(node)
    )
    return sorted(
        {
            node.lineno
            for node in emptied
            if isinstance(node, ast.Call) and ast.unparse(node).startswith("next(iter(")
        }
    )


def test_s12_what_is_looked_for_is_found() -> None:
    assert first_keys("while big:\n    key = next(iter(kept))\n    del kept[key]") == [2]
    assert first_keys("del known[next(iter(known))]") == [1]
    assert first_keys("kept.pop(next(iter(kept)))") == [1]
    assert first_keys("found = next(iter(some))\nkept.popitem(last=False)") == []


@pytest.mark.parametrize("package", PACKAGES)
def test_s12_nothing_is_forgotten_by_walking_over_what_was_forgotten_before(package: str) -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / package).rglob("*.py")
        if (lines := first_keys(path.read_text()))
    }
    assert not found, "an OrderedDict forgets its oldest entry by popitem(last=False)"


def test_s12_memories_that_forget_their_oldest_entry_are_ordered_dicts() -> None:
    contents = OutcomeContents(
        1,
        TopicDecoder(RESERVATION_OUTCOMES, IDS),
        lambda _: False,
        OutcomeCounters(),
        since_ms=0,
        bytes_max=1,
        never_ns=0,
    )
    assert isinstance(contents._by_id, OrderedDict)
    assert isinstance(TokenVerifier(KeySet(""), "seatstream")._known, OrderedDict)
    assert isinstance(SectionCache().by_key, OrderedDict)
