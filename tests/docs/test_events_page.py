"""What the page shows of events is what the code takes and gives."""

import re

import orjson
from support.pages.document_pages import DOCS, code_in, table_rows

from api.events.bodies import Opening
from api.events.openings import prepared
from serdes.registry.ids import counted_ids
from state.domain.event import SaleState
from state.records.commands import CommandEncoders

PAGE = DOCS / "http-api.md"
TEXT = PAGE.read_text(encoding="utf-8")


def block_after(heading: str, language: str) -> str:
    found = re.search(rf"{heading}\n.*?```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_opening_that_is_shown_opens_an_event() -> None:
    opening = Opening.model_validate(orjson.loads(block_after("### Opening", "json")))
    assert set(opening.model_dump()) == opening.model_fields_set
    plan = prepared(opening, "operator-1", CommandEncoders(counted_ids()))
    assert plan.event.capacity == 20 * 50 + 20 + 22 + 24


def test_every_sale_state_is_explained() -> None:
    states = [code_in(row[0])[0] for row in table_rows(PAGE, "Events") if len(row) == 2]
    assert [state for state in states if state in list(SaleState)] == list(SaleState)
