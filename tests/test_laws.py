"""Laws about the shape of the code. Exceptions lie in `laws.toml`; the lists may only shrink."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

from infra.paths import ROOT

MODULES_MAX = 14
LINES_MAX = 60
PRODUCT = ("api", "infra", "schemas", "scripts", "serdes", "state", "streams")
EXCEPTIONS: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("laws.toml").read_text(encoding="utf-8")
)


@cache
def modules() -> tuple[Path, ...]:
    roots = (*PRODUCT, "benchmarks", "tests")
    found = [path for root in roots for path in (ROOT / root).rglob("*.py")]
    return tuple(sorted([ROOT / "topology.py", *found]))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def full_folders() -> set[str]:
    counts: dict[str, int] = {}
    for path in modules():
        if path.name != "__init__.py":
            folder = name_of(path.parent)
            counts[folder] = counts.get(folder, 0) + 1
    return {folder for folder, count in counts.items() if count > MODULES_MAX}


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements below a node; no function lies within an expression."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            if isinstance(child, ast.stmt):
                yield child
            yield from statements(child)


def long_functions() -> Iterator[str]:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") <= LINES_MAX:
            continue
        for node in statements(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno + 1 > LINES_MAX:
                    yield f"{name_of(path)} {node.name}"


def in_or_above_circles() -> list[str]:
    """Return modules of the product that import in a circle, if only for types, or lead to one."""
    graph = grimp.build_graph(*PRODUCT)
    followed: dict[str, set[str]] = {
        name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules
    }
    # Whoever imports nothing that is left is in no circle.
    while free := {name for name, imported in followed.items() if not imported & followed.keys()}:
        followed = {name: imported for name, imported in followed.items() if name not in free}
    return sorted(followed)


def without_test_of_their_name() -> Iterator[str]:
    for path in modules():
        name = name_of(path)
        if path.name == "__init__.py" or not name.startswith(PRODUCT):
            continue
        if not (ROOT / "tests" / name).with_name(f"test_{path.name}").exists():
            yield name


@pytest.mark.parametrize(
    ("law", "breaches"),
    [
        ("folders", full_folders),
        ("functions", long_functions),
        ("tests", without_test_of_their_name),
    ],
)
def test_a_law_is_broken_only_where_a_reason_says_why(law: str, breaches: Any) -> None:
    assert set(breaches()) == set(EXCEPTIONS[law])


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert in_or_above_circles() == []


def test_no_exception_is_without_its_reason() -> None:
    assert all(
        reason.strip() for exceptions in EXCEPTIONS.values() for reason in exceptions.values()
    )
