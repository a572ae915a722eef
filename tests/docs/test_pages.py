"""The pages run, and lead where they say."""

import re
from pathlib import Path

import pytest
from support.pages.document_pages import DOCS, run_python_blocks

from infra.paths import ROOT

OWN_PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
]
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run(page: Path) -> None:
    run_python_blocks(page)


@pytest.mark.parametrize("page", OWN_PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_to_something(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {anchor_of(heading) for heading in headings}, f"{page.name}: {target}"


def anchor_of(heading: str) -> str:
    """Return the anchor that hosts of Markdown give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
