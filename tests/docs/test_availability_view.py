"""The page of the availability view shows the example that is run against a broker."""

import ast
import re

from support.pages.document_pages import DOCS

from infra.paths import ROOT

BLOCK = re.compile(r'^```python title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINES_OF_THE_USE_MAX = 15


def test_the_block_of_the_page_is_the_code_of_the_example() -> None:
    """All of it but where the arguments come from: the import, and what is done with the view."""
    found = BLOCK.search((DOCS / "availability-view.md").read_text(encoding="utf-8"))
    assert found is not None
    example = ast.parse((ROOT / found[1]).read_text(encoding="utf-8")).body
    shown = ast.parse(found[2]).body
    use = [
        statement
        for statement in example
        if isinstance(statement, ast.With)
        or (isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("state."))
    ]
    assert [ast.unparse(statement) for statement in shown] == [ast.unparse(s) for s in use]
    left_out = [statement for statement in example if statement not in use]
    assert all(isinstance(s, ast.Expr | ast.Import | ast.Assign) for s in left_out)
    assert len(found[2].splitlines()) <= LINES_OF_THE_USE_MAX
