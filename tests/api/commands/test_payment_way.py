"""A way to pay is checked before anything of it is written."""

from typing import Any

import pytest

from api.commands.payment_way import PaymentWay
from api.web.problems import Problem
from streams.gateways.registry import opened

NAMES = ("mock",)
GATEWAYS: Any = opened(NAMES, {})


def way(**changes: object) -> PaymentWay:
    return PaymentWay.model_validate({"method": "card", **changes})


def test_who_names_no_gateway_pays_at_the_first_one() -> None:
    assert way().checked(NAMES, GATEWAYS) == ("mock", b"")
    named = way(gateway="mock", parameters={"token": "t"})
    assert named.checked(NAMES, GATEWAYS) == ("mock", b'{"token":"t"}')


@pytest.mark.parametrize(
    "changes", [{"gateway": "nobody"}, {"parameters": {"card": "4242424242424242"}}]
)
def test_what_no_gateway_of_the_pod_takes_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Problem):
        way(**changes).checked(NAMES, GATEWAYS)
