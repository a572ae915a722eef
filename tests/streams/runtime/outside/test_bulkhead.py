"""Whose turn it is at a destination, and what is told of one that is left alone."""

from pathlib import Path

import pytest
from support.workers.calling import calling

from infra.process.breaker import Rules
from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState, last_of
from streams.intents import INTENT, Intent, changed_intents, open_intent
from streams.runtime.outside import bulkhead as module
from streams.runtime.outside import outbox
from streams.runtime.outside.bulkhead import Bulkhead
from streams.runtime.outside.outbox import Outbox
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.input_partition import InputPartition


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


ROUTE = calling({"bank": nobody})


def bulkhead_of(tmp_path: Path, *names_by_box: list[str], limit: int = 100) -> Bulkhead:
    """Return a bulkhead over a partition for each list, with these intents open in it."""
    bulkhead = Bulkhead(ROUTE, "bank", limit, Rules(failures=1, open_ms=1_000, probes=1))
    for number, names in enumerate(names_by_box):
        state = PartitionState(MemoryStore())
        journal = CrashJournal(tmp_path / "journal.json")
        box = Outbox(InputPartition(ROUTE, "asked", number, 2, state, 0, 0, journal))
        for name in names:
            open_intent(
                state,
                Intent(
                    id=name, destination="bank", idempotency_key=name,
                    payload=b"", due_ms=5, opened_ms=5,
                ),
            )  # fmt: skip
        changes = state.seal()
        state.write(changes, 1)
        state.release()
        box.changed(list(changed_intents(last_of(changes, INTENT, 0))))
        bulkhead.join(box)
    return bulkhead


def begun(bulkhead: Bulkhead, monotonic_ms: int = 0) -> list[str]:
    found = []
    while (call := bulkhead.next(5, monotonic_ms)) is not None:
        bulkhead.under_way += 1
        found.append(call.intent.id + ("" if call.period is not None else " left alone"))
    return found


def test_partitions_take_turns_and_the_limit_holds(tmp_path: Path) -> None:
    bulkhead = bulkhead_of(tmp_path, ["a1", "a2", "a3"], ["b1"], limit=3)
    assert begun(bulkhead) == ["a1", "b1", "a2"]
    assert bulkhead.next_due_ms() is None
    bulkhead.under_way -= 1
    assert bulkhead.next_due_ms() == 5
    assert begun(bulkhead) == ["a3"]


def test_an_open_circuit_is_told_once_to_each_and_held_then(tmp_path: Path) -> None:
    bulkhead = bulkhead_of(tmp_path, ["a1", "a2"])
    bulkhead.breaker.failed(bulkhead.breaker.begin(), 0)
    call = bulkhead.next(5, 0)
    assert call is not None
    assert call.period is None
    # The handler wants another try of it at once.
    call.box.put_back("bank", call.entry)
    assert begun(bulkhead) == ["a2 left alone"]
    # One probe; then all that waited.
    assert begun(bulkhead, 1_000) == ["a1"]
    bulkhead.breaker.succeeded(bulkhead.breaker.period)
    assert begun(bulkhead, 1_000) == []


def test_no_more_are_told_than_can_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_MAX", 1)
    bulkhead = bulkhead_of(tmp_path, ["a1", "a2"])
    bulkhead.breaker.failed(bulkhead.breaker.begin(), 0)
    assert begun(bulkhead) == ["a1 left alone"]
    assert begun(bulkhead, 1_000) == ["a2"]


def test_a_partition_whose_answers_are_not_folded_has_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "UNFOLDED_MAX", 1)
    bulkhead = bulkhead_of(tmp_path, ["a1", "a2"], ["b1", "b2"])
    call = bulkhead.next(5, 0)
    assert call is not None
    call.box.answered("bank", 0)
    assert begun(bulkhead) == ["b1", "b2"]


def test_a_partition_that_left_is_forgotten(tmp_path: Path) -> None:
    bulkhead = bulkhead_of(tmp_path, ["a1"], ["b1"])
    [first, _] = bulkhead._turns
    bulkhead.leave(first)
    assert begun(bulkhead) == ["b1"]
