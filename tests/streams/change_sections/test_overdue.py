"""After an outage many holds are overdue at once: they end in order, some at each record."""

from collections.abc import Sequence

from support.seats.section_commands import Pair, Partition, Told, hold, open_section, tick

from state.stores.partition_state import Changes
from streams.folding.fold import DUE_PER_RECORD

HOLDS = 2 * DUE_PER_RECORD + 300
OUTAGE_MS = 3_600_000
ROWS = "\n".join(["." * 100] * 30)


def overdue_partition() -> Partition:
    """Return a partition whose holds, one seat each, are all past their deadline."""
    partition = Partition()
    partition.send(open_section(ROWS))
    partition.send(*(hold(f"r{number:05}", 1) for number in range(HOLDS)))
    partition.now_ms += OUTAGE_MS
    return partition


def lapsed(outcomes: Sequence[Told]) -> list[str]:
    return [told.reservation for told in outcomes if told.name == "ReservationReleased"]


def after_the_outage(partition: Partition) -> list[Pair]:
    ticks = [tick(partition.now_ms)] * 2
    return [*ticks, hold("late-1", 2), hold("late-2", 2), tick(partition.now_ms)]


def test_one_record_ends_so_many_holds_and_the_next_ones_the_rest() -> None:
    partition = overdue_partition()
    counts = [len(lapsed(partition.send(tick(partition.now_ms)))) for _ in range(4)]
    assert counts == [DUE_PER_RECORD, DUE_PER_RECORD, 300, 0]


def test_a_command_at_the_same_log_time_goes_on_with_what_a_tick_left() -> None:
    partition = overdue_partition()
    partition.send(tick(partition.now_ms))
    outcomes = partition.send(hold("late", 1))
    assert len(lapsed(outcomes)) == DUE_PER_RECORD
    assert outcomes[-1].name == "SeatsHeld"


def test_every_overdue_hold_ends_exactly_once_oldest_first() -> None:
    partition = overdue_partition()
    ended = [one for _ in range(4) for one in lapsed(partition.send(tick(partition.now_ms)))]
    assert ended == [f"r{number:05}" for number in range(HOLDS)]


def test_batch_borders_do_not_move_the_limit() -> None:
    at_once, one_by_one = overdue_partition(), overdue_partition()
    at_once.send(*after_the_outage(at_once))
    for pair in after_the_outage(one_by_one):
        one_by_one.send(pair)
    assert at_once.outcomes == one_by_one.outcomes
    assert at_once.stored() == one_by_one.stored()


def test_a_restart_in_the_middle_changes_nothing() -> None:
    steady, restarted = overdue_partition(), overdue_partition()
    for pair in after_the_outage(steady):
        steady.send(pair)
        restarted.forget()
        restarted.send(pair)
    assert steady.outcomes == restarted.outcomes
    assert steady.stored() == restarted.stored()


def test_a_stale_index_does_not_move_the_limit() -> None:
    """A worker that takes over on an old store meets holds at times that they have no more."""
    steady, stale = overdue_partition(), overdue_partition()
    names = list(stale.store.stored)
    stale.store.apply(Changes([], [], {1: names[::2], 2: names, 3: names[1::2]}, []), None)
    stale.forget()
    for pair in after_the_outage(steady):
        steady.send(pair)
        stale.send(pair)
    assert stale.outcomes == steady.outcomes
    assert stale.stored() == steady.stored()
