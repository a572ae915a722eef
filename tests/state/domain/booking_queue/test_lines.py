"""Lines are there as long as something is known of an item, and cost nothing afterwards."""

from state.domain.booking_queue.figures import KEPT_MS
from state.domain.booking_queue.items import item_id
from state.domain.booking_queue.line import Asked
from state.domain.booking_queue.lines import FORGOTTEN_AT_ONCE, SKEW_MS, Lines

NOW = 1_900_000_000_000


def filled(users: int) -> Lines:
    lines = Lines()
    for number in range(users):
        item = item_id(f"u-{number}", "k", 7)
        lines.of(7).enqueue(item, Asked(f"u-{number}", b"{}"), number + 1, NOW)
        lines.of(7).cancel(item, f"u-{number}", NOW)
    return lines


def test_what_is_over_is_forgotten_a_day_later_so_many_at_once_and_the_event_with_the_last() -> (
    None
):
    lines = filled(FORGOTTEN_AT_ONCE + 1)
    lines.pass_to(NOW + KEPT_MS + SKEW_MS - 1)
    assert len(line_items(lines)) == FORGOTTEN_AT_ONCE + 1
    lines.pass_to(NOW + KEPT_MS + SKEW_MS)
    assert len(line_items(lines)) == 1
    lines.pass_to(NOW + KEPT_MS + SKEW_MS)
    assert lines.known(7) is None


def test_whether_a_request_is_a_new_item_hangs_on_its_own_broker_whatever_others_clocks_say() -> (
    None
):
    # One pod has read a record of another event from a broker whose clock is ahead; one has not.
    item, here = item_id("u-0", "k", 7), NOW + KEPT_MS - 1
    pods = filled(1), filled(1)
    pods[0].pass_to(here + SKEW_MS)
    for lines in pods:
        lines.pass_to(here)
        assert lines.of(7).enqueue(item, Asked("u-0", b"{}"), 2, here) is False


def test_an_item_that_began_anew_is_not_forgotten_with_the_former_one() -> None:
    lines = filled(1)
    item = item_id("u-0", "k", 7)
    assert lines.of(7).enqueue(item, Asked("u-0", b"{}"), 2, NOW + KEPT_MS) is True
    lines.pass_to(NOW + KEPT_MS + SKEW_MS)
    assert lines.of(7).look(item) is not None


def test_events_are_those_with_somebody_who_waits_or_is_dead() -> None:
    lines = filled(1)
    assert lines.events() == ()
    lines.of(9).enqueue(item_id("u", "k", 9), Asked("u", b"{}"), 1, NOW)
    assert lines.events() == (9,)


def test_of_an_event_that_nobody_knows_nothing_stands_and_nothing_is_kept() -> None:
    lines = Lines()
    assert lines.standing(7, NOW).length == 0
    assert lines.known(7) is None
    lines.of(7)
    lines.tidy(7)
    assert lines.known(7) is None


def line_items(lines: Lines) -> list[str]:
    line = lines.known(7)
    return [] if line is None else list(line._items)
