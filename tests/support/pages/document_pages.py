"""What pages say to a machine: Python blocks, rows of tables, settings; and what code asks for."""

import re
import shlex
from pathlib import Path
from typing import Any

from infra.paths import ROOT
from infra.process.environment import Environment
from streams.gateways.registry import known_gateways

DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


def run_python_blocks(page: Path) -> dict[str, Any]:
    """Run the Python blocks of a page one after another in one namespace, and return it."""
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": f"page_{page.stem.replace('-', '_')}"}
    for block in _BLOCK.finditer(text):
        # Line numbers of a failure are those of the page.
        lines_before = text.count("\n", 0, block.start(1))
        source = "\n" * lines_before + block[1]
        exec(compile(source, str(page), "exec"), namespace)
    return namespace


def steps_of(page: Path, **values: str) -> list[list[str]]:
    """Return the words behind `seatstream` of each line of a page's shell blocks, in order.

    values: what stands for a variable of the shell, or a word.
    """
    blocks = re.findall(r"^```bash\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    steps = [
        shlex.split(line, comments=True)[1:] for line in lines if line.startswith("seatstream ")
    ]
    return [
        [values.get(word.lstrip("$").replace(".", "_"), word) for word in step] for step in steps
    ]


def section_of(page: Path, heading: str) -> str:
    """Return what stands between a heading of any level and the next one."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page.name} has no heading {heading!r}"
    return found[1]


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the tables under a heading, without their head."""
    rows = []
    is_body = False
    for line in section_of(page, heading).splitlines():
        if not line.startswith("|"):
            is_body = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if is_body:
            rows.append(cells)
        is_body = is_body or set("".join(cells)) <= set("-: ")
    return rows


def code_in(cell: str) -> list[str]:
    """Return the words in backticks."""
    return _CODE.findall(cell)


def env_example() -> dict[str, str]:
    """Return name and value of every assignment of .env.example, commented out or not."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assignments = [line.removeprefix("#") for line in lines if not line.startswith("# ")]
    return dict(line.split("=", 1) for line in assignments if line)


class AskedEnvironment(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: list[str] = []

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.append(name)
        return super().get(name, default)


def gateway_variables() -> dict[str, str]:
    """Return the variables of all our gateways, without _FILE, and which gateway reads each."""
    read_by: dict[str, str] = {}
    gateways = known_gateways([])
    for name in gateways.names():
        read = Environment({})
        gateways.open(name, read)
        shown = {one for one in read.names if not one.endswith("_FILE")}
        # Read to be refused, so nobody copies it.
        read_by |= dict.fromkeys(shown - {"STRIPE_LOG"}, name)
    return read_by
