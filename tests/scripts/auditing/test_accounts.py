"""A ledger is told order by order, on the partition that its order names."""

import pytest
from support.payments.shop import PRICE, whole_sale

from scripts.auditing.accounts import accounts_of, place_of


@pytest.mark.parametrize(
    ("order_id", "place"),
    [
        ("r-1.2.3", (3, ("r-1", 2))),
        ("r1.1.0", (0, ("r1", 1))),
        ("r1.1.4", (0, ("r1.1.4", -1))),
        ("r1.x.0", (0, ("r1.x.0", -1))),
        ("r1.1", (0, ("r1.1", -1))),
        (".1.0", (0, (".1.0", -1))),
        ("shoes", (0, ("shoes", -1))),
    ],
)
def test_an_order_id_names_reservation_epoch_and_partition(
    order_id: str, place: tuple[int, tuple[str, int]]
) -> None:
    assert place_of(order_id, 4) == place


def test_an_account_keeps_what_was_captured_and_not_given_back() -> None:
    ledger = whole_sale().ledger
    accounts = accounts_of(ledger, 0, 1)
    assert accounts["paid", 1].kept == {"EUR": PRICE}
    assert accounts["refunded", 1].kept == {}
    assert accounts["unclear", 1].kept == {"EUR": PRICE + 1}
    declined = accounts["declined", 1]
    assert (declined.captures, declined.kept) == ([], {})
    assert {len(keys) for account in accounts.values() for keys in account.keys.values()} == {1}
    assert accounts_of(ledger, 1, 2) == {}
