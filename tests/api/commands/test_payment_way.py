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


class TakesAll:
    """A gateway of somebody else's package that asks nothing of its parameters."""

    def wrong_detail(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"card": "4242424242424242"}},
        {"parameters": {"card": "4242 4242 4242 4242 12/27"}},
        {"parameters": {"4242424242424242": ""}},
        {"method": "m4242424242424242", "gateway": "mock"},
    ],
)
def test_b57_i24_a_cards_number_is_refused_whatever_its_gateway_takes_and_not_repeated(
    changes: dict[str, Any],
) -> None:
    lax: Any = {"mock": TakesAll()}
    with pytest.raises(Problem) as refused:
        way(**changes).checked(NAMES, lax)
    assert b"4242" not in refused.value.body("/", "c")
    assert way(parameters={"token": "4242424242424241"}).checked(NAMES, lax)[0] == "mock"


@pytest.mark.parametrize(
    "changes", [{"gateway": "nobody"}, {"parameters": {"card": "4242424242424242"}}]
)
def test_what_no_gateway_of_the_pod_takes_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Problem):
        way(**changes).checked(NAMES, GATEWAYS)
