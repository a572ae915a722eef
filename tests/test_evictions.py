"""The oldest entry of a bounded memory is found at the same cost however many went before it."""

import ast
from collections import OrderedDict
from pathlib import Path

import pytest
from section_commands import IDS

from api.identity import TokenVerifier
from api.tokens import KeySet
from schemas.topics import RESERVATION_OUTCOMES
from serdes.decoding import TopicDecoder
from state.stores.outcome_contents import OutcomeContents, OutcomeCounters
from streams.change_sections.fold import SectionCache

ROOT = Path(__file__).parents[1]
PACKAGES = ("api", "infra", "schemas", "scripts", "serdes", "state", "streams")


def first_keys(source: str) -> list[int]:
    """Return the lines that ask a collection for its first key: `next(iter(...))`.

    A dict finds its first key behind the places of all that was deleted before it. Where one of
    its values is all that is wanted, nothing was deleted.
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id="next"), args=[ast.Call(func=ast.Name(id="iter"), args=[asked])]
            ):
                match asked:
                    case ast.Call(func=ast.Attribute(attr="values" | "items")):
                        pass
                    case _:
                        lines.append(node.lineno)
    return lines


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
