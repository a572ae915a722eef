"""Which committed offsets are believed, by the ends of the input and of its changelog."""

import pytest

from state.kafka.group_offsets import NOTHING_COMMITTED
from streams.batch import Effects
from streams.route import Route
from streams.runtime.ownership.positions import Watermarks, believed
from streams.runtime.process.fatal import PartitionTrouble

IN = ("in", 3)
ROUTE = Route("judge", "in", lambda *_: Effects(), (), "log", "dead")


def at(committed: int, *, low: int = 10, high: int = 20, changelog_high: int = 0) -> int:
    marks = Watermarks({IN: low}, {IN: high}, {IN: changelog_high})
    return believed(IN, ROUTE, committed, marks)


@pytest.mark.parametrize("committed", [10, 15, 20])
def test_an_offset_within_the_log_is_gone_on_from(committed: int) -> None:
    assert at(committed, changelog_high=7) == committed


def test_who_never_committed_and_wrote_nothing_begins_with_the_first_record() -> None:
    assert at(NOTHING_COMMITTED) == 10


@pytest.mark.parametrize(
    ("committed", "changelog_high", "told"),
    [
        (NOTHING_COMMITTED, 1, "but the group has no committed offset"),
        (NOTHING_COMMITTED, 1, "SEATSTREAM_APP_ID"),
        (21, 0, "lies beyond the end 20"),
        (9, 0, "lies before the first record 10.*skip_lost_commands --role judge$"),
        (15, -1, "do not tell where it ends"),
    ],
)
def test_what_does_not_fit_together_is_the_trouble_of_this_partition(
    committed: int, changelog_high: int, told: str
) -> None:
    with pytest.raises(PartitionTrouble, match=told) as found:
        at(committed, changelog_high=changelog_high)
    assert found.value.reason == "offsets"
    assert "in-3" in str(found.value)
