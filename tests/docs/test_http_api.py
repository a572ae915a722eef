"""Settings, reasons and metrics of the page are those of the code."""

from collections.abc import Callable

import pytest
from support.pages.document_pages import (
    DOCS,
    AskedEnvironment,
    code_in,
    env_example,
    gateway_variables,
    table_rows,
)

from api.settings import ApiSettings
from api.web.metrics import ApiMetrics
from api.web.problems import STATUS
from state.domain.reasons import ApiReason, Reason
from streams.settings import Settings

PAGE = DOCS / "http-api.md"


def settings_asked() -> list[str]:
    environment = AskedEnvironment({})
    ApiSettings.from_env(environment)
    return environment.asked


def documented_settings() -> dict[str, str]:
    """Return default by name as the page tells it; empty where it has none."""
    rows = table_rows(PAGE, "Settings")
    return {code_in(name)[0]: (code_in(default) or [""])[0] for name, default, _ in rows}


def example_settings() -> dict[str, str]:
    found = env_example()
    return {name: value for name, value in found.items() if name in settings_asked()}


@pytest.mark.parametrize("listed", [documented_settings, example_settings])
def test_settings_and_their_defaults_are_those_of_the_code(
    listed: Callable[[], dict[str, str]],
) -> None:
    values = listed()
    assert sorted(values) == sorted(settings_asked())
    told = {name: value for name, value in values.items() if value}
    assert ApiSettings.from_env(told) == ApiSettings.from_env({})


def test_the_example_has_nothing_that_neither_pod_nor_worker_reads() -> None:
    environment = AskedEnvironment({})
    Settings.from_env(environment)
    assert set(env_example()) == {*environment.asked, *settings_asked(), *gateway_variables()}


def test_a_worker_and_a_pod_can_be_given_the_whole_example() -> None:
    told = {name: value for name, value in env_example().items() if value}
    Settings.from_env(told)
    ApiSettings.from_env(told)


def test_every_reason_is_listed_with_its_status() -> None:
    listed: dict[str, int] = {}
    for first, second, *rest in table_rows(PAGE, "Problems"):
        if rest:
            listed[code_in(first)[0]] = int(second)
        else:
            listed |= dict.fromkeys(code_in(second), int(first))
    assert listed == {reason.name: STATUS[reason][0] for reason in (*Reason, *ApiReason)}


def test_metrics_and_labels_are_those_of_the_code() -> None:
    expected = {row.shown_name: list(row.labels) for row in ApiMetrics.table()}
    listed = {}
    for first, second, *rest in table_rows(PAGE, "Metrics"):
        listed[code_in(first)[0]] = code_in(second) if rest else []
    assert listed == expected
