"""A plan with a section that no record can hold is refused before anything is sent."""

import pytest

from scripts.brokers.addresses import Servers
from scripts.traffic.opening import open_event
from serdes.registry.ids import counted_ids
from serdes.wire import VALUE_BYTES_MAX
from state.domain.layout import Row, Rules
from state.plans.seating import PlanFault, SeatingPlan, SectionPlan

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")


def test_a_section_beyond_a_records_limit_is_named_and_nobody_is_asked() -> None:
    label = "r" * 60
    rows = tuple(Row(f"{label}{number}", 1) for number in range(VALUE_BYTES_MAX // len(label)))
    small = SectionPlan("A", "A", (Row("1", 10),), "A")
    plan = SeatingPlan("two", (small, SectionPlan("B", "B", rows, "B")), {})
    with pytest.raises(PlanFault, match=f"the limit is {VALUE_BYTES_MAX}") as fault:
        open_event(NOWHERE, plan, 1, Rules(), ids=counted_ids())
    assert str(fault.value).startswith("B")
