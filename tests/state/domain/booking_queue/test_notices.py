"""Each status is told by a name of source document 004."""

import pytest

from state.domain.booking_queue.notices import Notice, notice_of
from state.domain.booking_queue.statuses import ItemStatus
from state.domain.booking_queue.wishes import Carried

NOTHING = Carried("", "")


@pytest.mark.parametrize(
    ("status", "carried", "notice"),
    [
        (ItemStatus.WAITING, NOTHING, Notice.QUEUE_POSITION),
        (ItemStatus.PROCESSING, NOTHING, Notice.PROCESSING),
        (ItemStatus.COMPLETED, Carried("r", ""), Notice.RESERVED),
        (ItemStatus.COMPLETED, Carried("", "SOLD_OUT"), Notice.FAILED),
        (ItemStatus.EXPIRED, NOTHING, Notice.FAILED),
        (ItemStatus.DEAD, NOTHING, Notice.FAILED),
        (ItemStatus.CANCELLED, NOTHING, Notice.CANCELLED),
    ],
)
def test_s004_4_each_status_has_its_name(
    status: ItemStatus, carried: Carried, notice: Notice
) -> None:
    assert notice_of(status, carried) is notice


def test_no_status_is_without_a_name() -> None:
    assert {notice_of(status, NOTHING) for status in ItemStatus} | {Notice.RESERVED} == {*Notice}
