"""What a record does to a line hangs on the records before it and on the log's time alone."""

import pytest

from state.domain.booking_queue.figures import (
    DEAD_MS,
    FIRST_PAUSE_MS,
    ITEM_MS,
    KEPT_MS,
    LEASE_MS,
    RETRIES_MAX,
)
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.line import Asked, Ended, EventLine
from state.domain.booking_queue.queue import NotTaken, Settled
from state.domain.booking_queue.statuses import DeadReason, ItemStatus

NOW = 1_900_000_000_000
HELD = Ended(b"held", "", is_final=True)
FAILED = Ended(None, DeadReason.SERVICE_ERROR, is_final=False)
LOST = Ended(None, DeadReason.INVALID_DATA, is_final=True)


def line_of(*items: str, length_max: int = 10) -> EventLine:
    line = EventLine(7, [], length_max=length_max)
    for number, item in enumerate(items, 1):
        assert line.enqueue(item, Asked(f"u-{item}", b"{}"), number, NOW) is True
    return line


def seen(line: EventLine, item: str) -> Item:
    found = line.look(item)
    assert found is not None
    return found


def test_an_item_of_the_line_goes_to_the_first_worker_that_names_it() -> None:
    line = line_of("a", "b")
    assert line.first() == "a"
    assert [line.take("a", token, NOW) for token in ("t", "u", "t")] == [True, False, True]
    assert (line.first(), seen(line, "b").position) == ("b", 1)
    assert seen(line, "a").attempts == 1
    assert not line.take("unknown", "t", NOW)


def test_no_worker_gets_an_item_whose_time_is_over_by_the_log() -> None:
    line = line_of("a")
    assert not line.take("a", "t", NOW + ITEM_MS)
    assert seen(line, "a").status is ItemStatus.EXPIRED
    assert line.standing(NOW).expired == 1


def test_a_lease_ends_when_the_line_is_looked_after_and_not_before() -> None:
    line = line_of("a", "b")
    line.take("a", "t", NOW)
    assert not line.is_due(NOW + LEASE_MS - 1)
    assert line.clean(NOW + LEASE_MS - 1)[:3] == (0, 0, 0)
    assert line.is_due(NOW + LEASE_MS)
    assert line.clean(NOW + LEASE_MS)[:3] == (1, 0, 0)
    assert not line.is_due(NOW + LEASE_MS)
    assert (line.first(), seen(line, "b").position) == ("a", 2)
    assert line.settle("a", "t", HELD, NOW) == Settled(False, ItemStatus.WAITING)
    late = line_of("a")
    late.take("a", "t", NOW)
    assert late.settle("a", "t", HELD, NOW + LEASE_MS) == Settled(True, ItemStatus.COMPLETED)
    assert late.clean(NOW + LEASE_MS)[:3] == (0, 0, 0)


def test_a_failed_attempt_pauses_and_then_stands_at_its_place() -> None:
    line = line_of("a", "b")
    line.take("a", "t", NOW)
    assert line.settle("a", "t", FAILED, NOW) == Settled(True, ItemStatus.WAITING)
    assert line.settle("a", "t", FAILED, NOW) == Settled(True, ItemStatus.WAITING)
    assert not line.take("a", "u", NOW)
    assert (line.first(), seen(line, "a").position, line.standing(NOW).retried) == ("b", 1, 1)
    line.clean(NOW + FIRST_PAUSE_MS)
    assert line.first() == "a"


def test_s004_12_who_has_no_attempt_left_is_dead_of_that_and_of_silence_by_timeout() -> None:
    failed, silent = line_of("a"), line_of("a")
    for attempt in range(RETRIES_MAX + 1):
        now = NOW + attempt * (LEASE_MS + 1)
        assert failed.take("a", f"t-{attempt}", now)
        failed.settle("a", f"t-{attempt}", FAILED, now)
        failed.clean(now + LEASE_MS)
        assert silent.take("a", f"t-{attempt}", now)
        silent.clean(now + LEASE_MS)
    assert seen(failed, "a").reason == DeadReason.MAX_RETRIES_EXCEEDED
    assert seen(silent, "a").reason == DeadReason.TIMEOUT
    assert silent.dead(9) == ("a",)
    assert silent.standing(NOW).died_ever == 1


def test_a_line_counts_everybody_who_is_not_over() -> None:
    line = line_of("a", "b", "c", length_max=3)
    line.take("a", "t", NOW)
    line.settle("a", "t", FAILED, NOW)
    line.take("b", "u", NOW)
    assert line.enqueue("d", Asked("u", b"{}"), 9, NOW) is NotTaken.FULL
    assert line.cancel("c", "u-c", NOW)
    assert line.enqueue("d", Asked("u", b"{}"), 9, NOW) is True
    assert line.enqueue("d", Asked("u", b"[]"), 10, NOW) is NotTaken.OTHER
    assert line.enqueue("d", Asked("u", b"{}"), 10, NOW) is False


def test_an_item_is_known_for_as_long_as_its_status_says_forgotten_or_not() -> None:
    line = line_of("a", "b")
    line.cancel("a", "u-a", NOW)
    line.take("b", "t", NOW)
    line.settle("b", "t", LOST, NOW)
    assert line.enqueue("a", Asked("u-a", b"[]"), 3, NOW + KEPT_MS - 1) is NotTaken.OTHER
    assert line.enqueue("a", Asked("u-a", b"[]"), 4, NOW + KEPT_MS) is True
    assert line.requeue("b", Asked("u-b", b"{}", 1), 5, NOW + DEAD_MS - 1)
    assert not line.requeue("b", Asked("u-b", b"{}", 1), 6, NOW + DEAD_MS)
    assert (seen(line, "b").round, line.dead(9)) == (1, ())


def test_of_two_operators_who_have_one_item_tried_anew_the_second_comes_too_late() -> None:
    line = line_of("a")
    line.take("a", "t", NOW)
    line.settle("a", "t", LOST, NOW)
    assert line.requeue("a", Asked("u-a", b"{}", 1), 2, NOW)
    # It has died once more before the second word is in the log: its key was used.
    line.take("a", "u", NOW)
    line.settle("a", "u", LOST, NOW)
    assert not line.requeue("a", Asked("u-a", b"{}", 1), 3, NOW)
    assert line.requeue("a", Asked("u-a", b"{}", 2), 4, NOW)


def test_what_is_tried_anew_is_told_whole_and_needs_nothing_that_the_log_has_forgotten() -> None:
    line = line_of()
    assert line.requeue("a", Asked("u-a", b"{}", 2), 5, NOW)
    assert (seen(line, "a").round, seen(line, "a").request) == (2, b"{}")


@pytest.mark.parametrize("ended", [HELD, LOST])
def test_only_a_dead_item_keeps_its_request_and_is_removed(ended: Ended) -> None:
    line = line_of("a")
    line.take("a", "t", NOW)
    line.settle("a", "t", ended, NOW)
    is_dead = ended is LOST
    assert seen(line, "a").request == (b"{}" if is_dead else b"")
    assert line.remove("a") == is_dead
    assert line.is_empty == is_dead
