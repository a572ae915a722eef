"""Topics whose partitions fit each other, and those that were changed."""

from typing import Any

import pytest
from support.records.status_records import view_of

from api.parts.partitions import Partitions


class Counted:
    """A topic with so many partitions, as far as it is known."""

    def __init__(self, partitions: int, *, is_ready: bool = True) -> None:
        self.partitions = partitions
        self._is_ready = is_ready

    def is_ready(self) -> bool:
        return self._is_ready


@pytest.mark.parametrize(
    ("commands", "outcomes", "names"),
    [
        (Counted(4), Counted(4), ""),
        (Counted(4), Counted(8), "section-commands had 4 partitions"),
        (Counted(4, is_ready=False), Counted(8), ""),
        (Counted(4), Counted(8, is_ready=False), ""),
        (None, Counted(8), ""),
        (Counted(4), None, ""),
    ],
)
def test_counts_that_are_known_have_to_fit(commands: Any, outcomes: Any, names: str) -> None:
    part = Partitions(commands, outcomes, None, "statuses")
    assert names in part.fault()
    assert part.readiness() == {"partitions": not names}


def test_a_section_that_lies_where_it_cannot_is_named_with_what_to_do() -> None:
    fault = Partitions(None, None, view_of(4, 8, 40), "statuses").fault()
    assert fault.startswith("statuses: ")
    assert fault.endswith('See "Partitions were added" in docs/operations.md')
    assert Partitions(None, None, view_of(4, 4, 40), "statuses").fault() == ""
