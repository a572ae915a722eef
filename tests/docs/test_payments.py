import pytest
from support.pages.document_pages import DOCS, code_in, env_example, gateway_variables, table_rows

from infra.process.environment import Environment
from streams.gateways.registry import known_gateways

HEADINGS = {"mock": "The mock gateway", "stripe": "Stripe", "toss": "Toss"}


def told(name: str) -> dict[str, str]:
    """Return default by variable as the page tells it; empty where it has none."""
    rows = [row for row in table_rows(DOCS / "payments.md", HEADINGS[name]) if len(row) == 3]
    return {code_in(variable)[0]: (code_in(default) or [""])[0] for variable, default, _ in rows}


@pytest.mark.parametrize("name", HEADINGS)
def test_the_settings_of_a_gateway_are_those_of_the_code(name: str) -> None:
    ours = {one for one, reader in gateway_variables().items() if reader == name}
    assert set(told(name)) - {"STRIPE_LOG"} == ours
    example = env_example()
    for variable, default in told(name).items():
        if variable in example:
            assert example[variable] == default, variable
    read = Environment({variable: value for variable, value in told(name).items() if value})
    known_gateways([]).open(name, read)
    required = [fault for fault in read.faults if not fault.endswith("no default")]
    assert required == []


def test_every_gateway_has_its_section() -> None:
    assert tuple(sorted(HEADINGS)) == known_gateways([]).names()
