"""The prices of a plan file in; what each section is opened with out.

    {"currency": "EUR", "prices": {"front": 4500, "side": 2950}, ...}

Both formats have them at the top of the file. An amount is a whole number in the currency's minor
unit: 4500 is 45.00 EUR, and 0 a seat that costs nothing. A plan without both fields has no prices;
one that has them names a price for every seat, since nobody could say what another one costs.
"""

from dataclasses import replace
from typing import NoReturn

from state.domain.layout import categories_of
from state.domain.money import MINOR_DIGITS
from state.domain.price import SEAT_AMOUNT_MAX, UNPRICED, PriceList
from state.plans.fields import Json, required, text, typed
from state.plans.seating import PlanFault, SeatingPlan, SectionPlan, check_record_size, shown

PRICE_FIELDS = {"currency", "prices"}

_REMEDY = (
    f"Write a whole number from 0 to {SEAT_AMOUNT_MAX} in the currency's minor unit, such as 4500"
    " for 45.00 EUR"
)


def priced(plan: SeatingPlan, document: Json) -> SeatingPlan:
    """Return the plan with the prices of its file; raises PlanFault at the first fault."""
    prices = read_prices(document, plan)
    if prices == UNPRICED:
        return plan
    sections = tuple(_priced(section, prices) for section in plan.sections)
    for section in sections:
        check_record_size(section)
    return replace(plan, sections=sections, prices=prices)


def read_prices(document: Json, plan: SeatingPlan) -> PriceList:
    """Return the price list of a file, of categories that its plan has."""
    if not PRICE_FIELDS & document.keys():
        return UNPRICED
    currency = text(document, "currency", "")
    if currency not in MINOR_DIGITS:
        fault = f"{shown(currency)} is not a currency"
        raise PlanFault("currency", fault, "Write its three letters of ISO 4217, such as EUR")
    listed = typed(required(document, "prices", ""), dict, "prices")
    amounts: list[tuple[str, int]] = []
    for category, amount in listed.items():
        # Names are a stranger's texts: a path shows them escaped.
        path = f"prices[{shown(category)}]"
        if category not in plan.categories:
            known = ", ".join(sorted(map(shown, plan.categories))) or "none"
            raise PlanFault(path, "the plan has no such category", f"Known are {known}")
        # A bool is an int to Python.
        if not isinstance(amount, int) or isinstance(amount, bool):
            raise PlanFault(path, f"{shown(amount)} is not a whole number", _REMEDY)
        if not 0 <= amount <= SEAT_AMOUNT_MAX:
            raise PlanFault(path, f"{shown(amount)} is not in 0..{SEAT_AMOUNT_MAX}", _REMEDY)
        amounts.append((category, amount))
    return PriceList(currency, tuple(amounts))


def _priced(section: SectionPlan, prices: PriceList) -> SectionPlan:
    categories = categories_of(section.rows)
    known = {category for category, _ in prices.amounts}
    for category in categories:
        if category not in known:
            _refuse_unpriced(section, category)
    return replace(section, prices=prices.of(categories))


def _refuse_unpriced(section: SectionPlan, category: str) -> NoReturn:
    if category:
        fault = f"none for category {shown(category)}, which seats of {section.section} have"
        raise PlanFault("prices", fault, "Add it; 0 is a price")
    fault = f"seats of {section.section} have no category, and so no price"
    raise PlanFault(section.path, fault, "Give them one; it need not be for sale")
