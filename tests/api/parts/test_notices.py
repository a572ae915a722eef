"""Of each item the newest is told, turns before places, and what waits is bounded."""

from typing import Any

import pytest

from api.parts import notices as noting
from api.parts.notices import Notices
from state.domain.booking_queue.items import Item, item_id
from state.domain.booking_queue.queue import Waits
from state.domain.booking_queue.statuses import ItemStatus
from state.domain.booking_queue.wishes import Carried
from state.records.booking_queue.wishes import encoded_outcome


def item(user: str = "ann", status: ItemStatus = ItemStatus.WAITING, **changes: Any) -> Item:
    made = item_id(user, "k", 7)
    return Item(made, 7, user, status, 0, 0, 0, 0, 0, b"", b"", "")._replace(**changes)


def waits(user: str = "ann", position: int = 1, attempts: int = 0) -> Waits:
    return Waits(item_id(user, "k", 7), user, position, attempts, 0, b"c-7")


def on() -> Notices:
    notices = Notices()
    notices.is_on = True
    return notices


def told(notices: Notices, most: int = 100) -> list[tuple[str, str, int]]:
    return [(one.user_id, one.notice, one.position) for one in notices.take(most)]


def test_nothing_is_kept_where_nobody_tells_it() -> None:
    notices = Notices()
    notices.item(item())
    notices.place(7, waits())
    assert (len(notices), notices.take(9)) == (0, [])


def test_of_an_item_the_newest_is_told_whichever_comes_first() -> None:
    notices = on()
    notices.place(7, waits(position=2))
    notices.place(7, waits(position=1))
    assert told(notices) == [("ann", "booking:queue_position", 1)]
    notices.item(item(status=ItemStatus.PROCESSING, attempts=1))
    # Read before a worker took it.
    notices.place(7, waits(position=1))
    assert told(notices) == [("ann", "booking:processing", 0)]
    taken = item(status=ItemStatus.COMPLETED, attempts=1)
    notices.item(taken._replace(outcome=encoded_outcome(Carried("r", ""))))
    notices.item(item(status=ItemStatus.PROCESSING, attempts=1))
    [one] = notices.take(9)
    assert (one.notice, one.carried, one.ids.id) == (
        "ticket:reserved",
        Carried("r", ""),
        one.item_id,
    )


def test_what_was_not_told_is_put_back_unless_there_is_something_newer() -> None:
    notices = on()
    for user in ("ann", "ben"):
        notices.item(item(user, ItemStatus.PROCESSING, attempts=1))
    taken = notices.take(9)
    notices.item(item("ann", ItemStatus.EXPIRED, attempts=1))
    notices.back(taken)
    assert told(notices) == [("ann", "booking:failed", 0), ("ben", "booking:processing", 0)]


def test_turns_are_told_before_places_so_many_at_once_and_none_is_lost() -> None:
    notices = on()
    for position in range(1, 4):
        notices.place(7, waits(f"u-{position}", position))
    notices.item(item("ann", ItemStatus.CANCELLED))
    assert [user for user, _, _ in told(notices, 2)] == ["ann", "u-1"]
    assert [user for user, _, _ in told(notices, 2)] == ["u-2", "u-3"]
    assert told(notices, 2) == []


def test_the_oldest_places_make_room_and_take_none_from_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noting, "WAITING_MAX", 2)
    notices = on()
    notices.item(item("ann", ItemStatus.PROCESSING))
    for position in range(1, 5):
        notices.place(7, waits(f"u-{position}", position))
    assert (len(notices), notices.dropped) == (3, 2)
    assert [user for user, _, _ in told(notices)] == ["ann", "u-3", "u-4"]


def test_whom_time_has_ended_is_told_once_somebody_has_looked_and_room_is_made_for_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noting, "WAITING_MAX", 2)
    notices, drops = on(), list[int]()
    notices.on_drop = lambda: drops.append(notices.dropped)
    for user in ("ann", "ben", "ben", "cy"):
        notices.over(item_id(user, "k", 7))
    assert (len(notices), drops) == (2, [1])
    for user, found in (("ben", None), ("cy", item("cy", ItemStatus.EXPIRED))):
        assert notices.first_over() == item_id(user, "k", 7)
        notices.looked_at(item_id(user, "k", 7), found)
    assert notices.first_over() is None
    assert told(notices) == [("cy", "booking:failed", 0)]
    off = Notices()
    off.over(item_id("ann", "k", 7))
    assert off.first_over() is None


def test_an_outcome_of_a_later_release_is_told_by_nobody() -> None:
    notices = on()
    notices.item(item(status=ItemStatus.COMPLETED, outcome=b"none of ours"))
    assert len(notices) == 0
