"""The topology is told as it is, and documents that show it are kept true."""

from pathlib import Path

import pytest

from infra.paths import ROOT
from schemas.topics import TOPICS
from scripts.show_topology import (
    BEGIN,
    CARTS_BEGIN,
    PURCHASES_BEGIN,
    QUEUE_BEGIN,
    STATES_BEGIN,
    all_routes,
    as_text,
    main,
    with_block,
)

ROUTES = all_routes()


@pytest.mark.parametrize(
    ("page", "begin"),
    [
        ("README.md", BEGIN),
        ("docs/commands-and-outcomes.md", STATES_BEGIN),
        ("docs/payments.md", PURCHASES_BEGIN),
        ("docs/carts.md", CARTS_BEGIN),
        ("docs/booking-queue.md", QUEUE_BEGIN),
    ],
)
def test_a_page_shows_topology_and_transitions_as_their_tables_have_them(
    page: str, begin: str
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert begin in text
    assert with_block(text, ROUTES) == text


def test_a_transition_that_a_page_lacks_is_told_and_written(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "commands-and-outcomes.md").read_text(encoding="utf-8")
    document = tmp_path / "a.md"
    document.write_text(page.replace("    HELD --> SOLD: CONFIRMED\n", ""), encoding="utf-8")
    assert main(["--check", str(document)]) == 1
    assert main(["--write", str(document)]) == 0
    assert document.read_text(encoding="utf-8") == page


def test_a_document_without_a_block_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("nothing here")
    assert main(["--write", str(document)]) == 2
    assert document.read_text() == "nothing here"


def test_the_text_names_every_topic() -> None:
    assert all(topic.name in as_text(ROUTES) for topic in TOPICS)
