"""S004.12, S004.13: the life of an item is a table, and nothing but the table."""

import pytest

from state.domain.booking_queue.statuses import (
    OVER,
    TRANSITIONS,
    DeadReason,
    ItemStatus,
    Move,
)
from state.domain.transitions import IllegalTransition, advance

LEGAL = {
    ("WAITING", "TAKEN", "PROCESSING"),
    ("WAITING", "LAPSED", "EXPIRED"),
    ("WAITING", "WITHDRAWN", "CANCELLED"),
    ("PROCESSING", "GIVEN_BACK", "WAITING"),
    ("PROCESSING", "RETRIED", "WAITING"),
    ("PROCESSING", "RECORDED", "COMPLETED"),
    ("PROCESSING", "FAILED", "DEAD"),
    ("DEAD", "REQUEUED", "WAITING"),
}


@pytest.mark.parametrize("status", ItemStatus)
@pytest.mark.parametrize("by", Move)
def test_an_item_moves_as_its_life_is_told_and_in_no_other_way(
    status: ItemStatus, by: Move
) -> None:
    allowed = {ItemStatus[to] for of, move, to in LEGAL if (of, move) == (status.name, by.name)}
    if allowed:
        assert {advance(TRANSITIONS, status, by)} == allowed
    else:
        with pytest.raises(IllegalTransition):
            advance(TRANSITIONS, status, by)


def test_an_item_in_work_neither_lapses_nor_is_cancelled() -> None:
    """Its attempt may have an effect, and would then be told as none."""
    moves = TRANSITIONS[ItemStatus.PROCESSING]
    assert not moves.keys() & {Move.LAPSED, Move.WITHDRAWN}


def test_what_is_over_is_moved_by_an_operator_alone() -> None:
    moved = {move for status in OVER for move in TRANSITIONS[status]}
    assert moved == {Move.REQUEUED}
    assert {*TRANSITIONS} - OVER == {ItemStatus.WAITING, ItemStatus.PROCESSING}


def test_s004_12_s004_13_reasons_and_statuses_have_the_names_of_the_document() -> None:
    assert {*DeadReason} == {
        *("max_retries_exceeded", "circuit_breaker_open", "invalid_data"),
        *("service_error", "timeout", "unknown"),
    }
    assert {*ItemStatus} >= {"waiting", "processing", "completed", "expired"}
