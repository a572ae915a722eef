"""Who knew one reading and hears the differences knows the other one."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.keys import partition_of, section_key
from state.domain.status import SectionStatus
from state.views.availability.compared import differences, misplaced
from state.views.availability.snapshot import Known, status_in

Sections = dict[int, dict[str, Known]]

entries = st.builds(
    lambda version, free, place: (version, 1_000, free, 0, free, place, 9),
    st.integers(1, 2), st.integers(0, 1), st.integers(-2, 1),
)  # fmt: skip
readings = st.dictionaries(
    st.integers(1, 2),
    st.dictionaries(st.sampled_from("ABC"), entries, min_size=1),
)


def contents(sections: Sections, partitions: int = 4) -> Any:
    return SimpleNamespace(by_event=sections, partitions=[None] * partitions)


def statuses(sections: Sections) -> dict[tuple[int, str], SectionStatus]:
    return {
        (event, name): status_in(known)
        for event, of_event in sections.items()
        for name, known in of_event.items()
    }


@given(readings, readings)
def test_the_differences_make_one_reading_of_the_other(before: Sections, after: Sections) -> None:
    known = statuses(before)
    for change in differences(contents(before), contents(after)):
        at = change.event_id, change.section
        assert known.get(at) != change.status, "what has not changed is not told"
        if change.status is None:
            del known[at]
        else:
            known[at] = change.status
    assert known == statuses(after)


@pytest.mark.parametrize(("strays", "are_added"), [(0, False), (5, False), (6, True), (20, True)])
def test_partitions_were_added_where_more_than_a_quarter_lies_elsewhere(
    strays: int, are_added: bool
) -> None:
    names = [f"S{number}" for number in range(20)]
    of_event: dict[str, Known] = {}
    for number, name in enumerate(names):
        place = partition_of(section_key(7, name), 4)
        of_event[name] = (1, 1_000, 5, 0, 5, (place + (number < strays)) % 4, 9)
    # A doubtful one says nothing, wherever it lies.
    of_event["D"] = (1, 1_000, 5, 0, 5, ~0, 9)
    assert bool(misplaced(contents({7: of_event}))) is are_added
