"""What is said to show how a race ends is there."""

import re

from support.pages.document_pages import DOCS

from infra.paths import ROOT

PAGE = DOCS / "race-conditions.md"
FILE = re.compile(r"`(tests/[a-z0-9_/]+\.py)`")
TEST = re.compile(r"`(test_[a-z0-9_.]+)`")


def test_every_test_that_the_page_names_is_there() -> None:
    rows = [
        line.split("|")[3]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    shown = [cell for cell in rows if FILE.search(cell) or TEST.search(cell)]
    assert len(shown) > 15
    named: list[str] = []
    for cell in shown:
        # "in the same file" means the one that the row above has named last.
        named = FILE.findall(cell) or named
        texts = [(ROOT / name).read_text(encoding="utf-8") for name in named]
        for test in TEST.findall(cell):
            assert any(f"def {test}(" in text for text in texts), f"{test} in {named}"
