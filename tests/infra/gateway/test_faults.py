import pytest

from infra.gateway.books import Operation
from infra.gateway.faults import Fault, FaultPlan, Order


def test_nothing_goes_wrong_unless_it_is_ordered() -> None:
    assert FaultPlan().next(Operation.CHARGE, "o") is None


def test_an_order_is_for_so_many_requests_that_match() -> None:
    plan = FaultPlan()
    plan.order(Order(fault=Fault.HANG, operation=Operation.CHARGE, order_id="o", times=2))
    assert plan.next(Operation.REFUND, "o") is None
    assert plan.next(Operation.CHARGE, "p") is None
    met = [plan.next(Operation.CHARGE, "o") for _ in range(3)]
    assert met == [Fault.HANG, Fault.HANG, None]


def test_orders_come_in_their_order_and_before_rates() -> None:
    plan = FaultPlan()
    plan.set_rates(Operation.CHARGE, {Fault.DECLINE: 1.0})
    plan.order(Order(fault=Fault.RESET))
    plan.order(Order(fault=Fault.ERROR))
    met = [plan.next(Operation.CHARGE, "o") for _ in range(3)]
    assert met == [Fault.RESET, Fault.ERROR, Fault.DECLINE]


def test_a_rate_depends_on_seed_and_order_and_not_on_what_else_is_asked() -> None:
    def met(seed: int, *, others: bool) -> list[Fault | None]:
        plan = FaultPlan(seed)
        plan.set_rates(Operation.CHARGE, {Fault.DECLINE: 0.3, Fault.LATE: 0.2})
        found = []
        for number in range(200):
            if others:
                plan.next(Operation.CHARGE, "another")
            found.append(plan.next(Operation.CHARGE, f"o{number}"))
        return found

    assert met(1, others=False) == met(1, others=True)
    assert met(1, others=False) != met(2, others=False)
    # Of 200 draws with 0.3 and 0.2: 60 and 40 are expected, five deviations are 33 and 29.
    assert 27 <= met(1, others=False).count(Fault.DECLINE) <= 93
    assert 11 <= met(1, others=False).count(Fault.LATE) <= 69


def test_a_repeat_is_drawn_anew() -> None:
    plan = FaultPlan()
    plan.set_rates(Operation.CHARGE, {Fault.ERROR: 0.5})
    met = {plan.next(Operation.CHARGE, "o") for _ in range(100)}
    assert met == {None, Fault.ERROR}


@pytest.mark.parametrize("shares", [(-0.1, 0.0), (1.1, 0.0), (0.6, 0.6), (float("nan"), 0.0)])
def test_rates_are_shares_of_one(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        FaultPlan().set_rates(Operation.CHARGE, dict(zip((Fault.LATE, Fault.HANG), shares)))  # noqa: B905


def test_cleared_is_without_faults() -> None:
    plan = FaultPlan()
    plan.set_rates(Operation.CHARGE, {Fault.DECLINE: 1.0})
    plan.order(Order(fault=Fault.RESET))
    plan.clear()
    assert plan.next(Operation.CHARGE, "o") is None
