"""Settings, metrics and failure messages of the page are those of the code."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.pages.document_pages import (
    DOCS,
    AskedEnvironment,
    code_in,
    env_example,
    gateway_variables,
    table_rows,
)

from docs.examples.count_per_key import ROUTE
from infra.paths import ROOT
from streams.runtime import app
from streams.runtime.process.metrics import WorkerMetrics
from streams.settings import Settings

PAGE = DOCS / "operations.md"
RANDOM = "SEATSTREAM_INSTANCE"
RUNTIME = sorted((ROOT / "streams" / "runtime").rglob("*.py"))


def settings_asked() -> list[str]:
    environment = AskedEnvironment({})
    Settings.from_env(environment)
    return environment.asked


def documented_settings() -> dict[str, str]:
    """Return default by name as the page tells it; empty where it has none."""
    found = {}
    for name, default, _ in table_rows(PAGE, "Settings"):
        [variable] = code_in(name)
        found[variable] = (code_in(default) or [""])[0]
    return found


def example_settings() -> dict[str, str]:
    """Return what .env.example has for workers; `test_http_api` looks at the rest."""
    found = env_example()
    foreign = gateway_variables()
    return {
        name: value
        for name, value in found.items()
        if name not in foreign and not name.startswith("SEATSTREAM_API_")
    }


@pytest.mark.parametrize("listed", [documented_settings, example_settings])
def test_settings_and_their_defaults_are_those_of_the_code(
    listed: Callable[[], dict[str, str]],
) -> None:
    values = listed()
    assert sorted(values) == sorted(settings_asked())
    values[RANDOM] = "same"
    told = Settings.from_env({name: value for name, value in values.items() if value})
    assert told == Settings.from_env({RANDOM: "same"})


def test_metrics_and_labels_are_those_of_the_code() -> None:
    expected = {row.shown_name: list(row.labels) for row in WorkerMetrics.table()}
    rows = table_rows(PAGE, "Health pages and metrics")
    listed = {
        code_in(row[0])[0]: code_in(row[1]) for row in rows if row[0].startswith("`seatstream_")
    }
    assert listed == expected


def messages_of(path: Path) -> Iterator[list[str]]:
    """Yield, for each place that ends a worker or sets a partition aside, its message's parts."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        nodes = list(ast.walk(function))
        calls = [node for node in nodes if isinstance(node, ast.Call) and node.args]
        ends = {"end_process", "WorkerMustEnd", "PartitionTrouble"}
        asked = [c.args[0] for c in calls if isinstance(c.func, ast.Name) and c.func.id in ends]
        asked += [c.args[1] for c in calls if isinstance(c.func, ast.Name)
                  and c.func.id == "Unreadable"]  # fmt: skip
        if any(isinstance(argument, ast.Name) for argument in asked):
            asked += [node.value for node in nodes if isinstance(node, ast.Assign)
                      and any(isinstance(to, ast.Name) and to.id == "message"
                              for to in node.targets)]  # fmt: skip
        for argument in asked:
            parts = [part.value for part in ast.walk(argument) if isinstance(part, ast.Constant)]
            texts = [part for part in parts if isinstance(part, str)]
            if texts:
                yield texts


def documented_messages() -> list[str]:
    rows = [*table_rows(PAGE, "When a worker ends"), *table_rows(PAGE, "A partition is set aside")]
    return [code[0] for row in rows if (code := code_in(row[0]))]


def test_every_message_that_ends_a_worker_or_sets_a_partition_aside_is_explained() -> None:
    listed = documented_messages()
    places = [texts for path in RUNTIME for texts in messages_of(path)]
    assert len(places) >= 20
    for texts in places:
        assert any(one in text for one in listed for text in texts), texts


def test_every_message_that_is_explained_is_one_of_the_code() -> None:
    folders = [ROOT / "streams", ROOT / "serdes", ROOT / "infra" / "process"]
    code = [path.read_text(encoding="utf-8") for root in folders for path in root.rglob("*.py")]
    texts = [part for path in RUNTIME for texts in messages_of(path) for part in texts]
    for message in documented_messages():
        is_class = any(f"class {message}(" in source for source in code)
        assert is_class or any(message in text for text in texts), message


def test_fausts_web_server_stays_off_whatever_the_command_line_says(tmp_path: Path) -> None:
    worker = app.BatchApp(Settings(data_dir=tmp_path), [ROUTE])
    worker.conf.web_enabled = True
    assert list(worker.boot_strategy.web_server()) == []
