"""Windows over the open intents of a partition, against all that are open."""

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workers.calling import calling

from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState, last_of
from streams.intents import INTENT, Intent, changed_intents, open_intent, settle_intent
from streams.runtime.outside import outbox as module
from streams.runtime.outside.outbox import Outbox, UnreadableIntent, survey
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.input_partition import InputPartition


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


class Bench:
    """An outbox over a store in memory; every change is committed at once."""

    directory: ClassVar[Path]

    def __init__(self, end_offset: int = 0) -> None:
        self.store = MemoryStore(seed=3)
        self.state = PartitionState(self.store)
        journal = CrashJournal(self.directory / "journal.json")
        route = calling({"bank": nobody, "post": nobody})
        partition = InputPartition(
            route, "asked", 0, 1, self.state, 0, 0, journal, end_offset=end_offset
        )
        self.box = Outbox(partition)

    def open(self, intent_id: str, due_ms: int = 0, destination: str = "bank") -> None:
        open_intent(
            self.state,
            Intent(
                id=intent_id,
                destination=destination,
                idempotency_key=intent_id,
                payload=b"",
                due_ms=due_ms,
                opened_ms=due_ms,
            ),
        )
        self.commit()

    def commit(self) -> None:
        changes = self.state.seal()
        self.state.write(changes, 1)
        self.state.release()
        self.box.changed(list(changed_intents(last_of(changes, INTENT, 3))))

    def settle(self, intent_id: str) -> None:
        settle_intent(self.state, intent_id)
        self.commit()

    def look(self) -> None:
        under_way = self.box.begin_survey()
        self.box.end_survey(survey(self.store.items(INTENT), 3, lambda: False, under_way))

    def taken(self, now_ms: int = 0, destination: str = "bank") -> list[str]:
        found = []
        while (one := self.box.take(destination, now_ms)) is not None:
            found.append(one[0].id)
        return found


@pytest.fixture(autouse=True, scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    Bench.directory = tmp_path_factory.mktemp("journals")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 4)


def test_what_is_due_is_taken_once_and_in_due_order() -> None:
    bench = Bench()
    bench.open("late", 20)
    bench.open("soon", 10)
    assert bench.taken(9) == []
    assert bench.taken(15) == ["soon"]
    assert bench.taken(25) == ["late"]
    assert bench.taken(25) == []


def test_a_retry_is_taken_when_it_is_due_and_what_is_settled_never() -> None:
    bench = Bench()
    bench.open("one")
    bench.open("two")
    [one, _] = [bench.box.take("bank", 0), bench.box.take("bank", 0)]
    assert one is not None
    open_intent(bench.state, one[0].again(50))
    bench.commit()
    bench.settle("two")
    bench.look()
    assert bench.taken(49) == []
    assert bench.taken(50) == ["one"]


def test_f54_a_retry_that_has_waited_is_taken_when_its_jitter_is_over() -> None:
    bench = Bench()
    bench.open("one")
    taken = bench.box.take("bank", 0)
    assert taken is not None
    again = taken[0].again(40_000)
    open_intent(bench.state, again)
    bench.commit()
    assert again.begins_ms > again.due_ms
    assert bench.taken(again.begins_ms - 1) == []
    bench.look()
    assert bench.taken(again.begins_ms - 1) == []
    assert bench.taken(again.begins_ms) == ["one"]


def test_an_owner_knows_what_it_saw_being_opened_from_what_it_found() -> None:
    bench = Bench()
    bench.open("found")
    bench.box = Outbox(bench.box.partition)
    bench.look()
    bench.open("seen")
    bench.look()
    taken = [bench.box.take("bank", 0), bench.box.take("bank", 0)]
    assert {one[0].id: one[1].is_fresh for one in taken if one} == {"found": False, "seen": True}


def test_a_window_leaves_in_the_store_what_it_cannot_hold() -> None:
    bench = Bench()
    for number in range(100):
        bench.open(f"i{number:02}", due_ms=99 - number)
    bench.open("post", destination="post")
    assert len(bench.box._windows["bank"].entries) <= 8
    assert bench.taken(1_000, "post") == ["post"]
    seen: list[str] = []
    while True:
        found = bench.taken(1_000)
        if not found and not bench.box.is_low:
            break
        seen += found
        for one in found:
            bench.settle(one)
        bench.look()
    assert seen == [f"i{number:02}" for number in reversed(range(100))]


def test_an_id_that_was_settled_and_opened_again_is_due_when_it_says_now() -> None:
    bench = Bench()
    bench.open("one", 1)
    bench.settle("one")
    bench.open("one", 50)
    assert bench.taken(49) == []
    assert bench.taken(50) == ["one"]


def test_what_is_opened_during_a_survey_is_not_forgotten() -> None:
    bench = Bench()
    under_way = bench.box.begin_survey()
    found = survey(bench.store.items(INTENT), 3, lambda: False, under_way)
    bench.open("one")
    bench.box.end_survey(found)
    assert bench.taken() == ["one"]


def test_none_is_never_counted_while_one_is_open() -> None:
    bench = Bench()
    bench.look()
    assert bench.box.found.open == {}
    bench.open("a", due_ms=7)
    assert (bench.box.found.open, bench.box.found.oldest_ms) == ({"bank": 1}, 7)
    bench.open("b", due_ms=9)
    # More than none is as it was counted.
    assert bench.box.found.open == {"bank": 1}
    under_way = bench.box.begin_survey()
    found = survey(bench.store.items(INTENT), 3, lambda: False, under_way)
    bench.open("c", due_ms=5, destination="post")
    bench.box.end_survey(found)
    assert (bench.box.found.open, bench.box.found.oldest_ms) == ({"bank": 2, "post": 1}, 7)
    for name in "abc":
        bench.settle(name)
    bench.look()
    assert bench.box.found.open == {}


def test_a_survey_counts_what_is_under_way_and_names_the_oldest() -> None:
    bench = Bench()
    bench.open("one", 7)
    bench.open("two", 9, "post")
    assert bench.taken(7) == ["one"]
    bench.look()
    assert (bench.box.found.open, bench.box.found.oldest_ms) == ({"bank": 1, "post": 1}, 7)
    assert bench.taken(7) == []


def test_a_survey_that_is_over_stops() -> None:
    bench = Bench()
    bench.open("one")
    assert survey(bench.store.items(INTENT), 3, lambda: True).open == {}


def test_answers_that_are_not_folded_fill_an_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNFOLDED_MAX", 1)
    bench = Bench()
    bench.open("one")
    taken = bench.box.take("bank", 0)
    assert taken is not None
    bench.box.answered("bank", 7)
    assert not bench.box.may_perform("bank")
    # Of another destination nothing is waited for.
    assert bench.box.may_perform("post")
    # Whatever the handler makes of it, also nothing at all.
    bench.box.partition.committed_offset = 8
    assert bench.box.may_perform("bank")


def test_an_answer_that_was_folded_before_its_broker_told_so_fills_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "UNFOLDED_MAX", 1)
    bench = Bench()
    bench.box.partition.committed_offset = 8
    bench.box.answered("bank", 7)
    bench.box.answered("bank", -1)
    assert bench.box.may_perform("bank")


def test_nothing_is_performed_before_the_log_of_the_take_over_is_folded() -> None:
    bench = Bench(end_offset=10)
    bench.open("history")
    assert not bench.box.may_perform("bank")
    bench.box.partition.committed_offset = 11
    bench.open("on the border")
    assert bench.box.may_perform("bank")
    bench.open("new")
    taken = [bench.box.take("bank", 0) for _ in range(3)]
    fresh = {one[0].id: one[1].is_fresh for one in taken if one}
    assert fresh == {"history": False, "on the border": False, "new": True}


def test_markers_at_the_end_of_the_log_are_not_waited_for() -> None:
    bench = Bench(end_offset=10)
    bench.box.partition.committed_offset = 9
    bench.box.look_how_far()
    assert not bench.box.may_perform("bank")
    bench.box.partition.note_read_to(10)
    bench.box.look_how_far()
    assert bench.box.may_perform("bank")


def test_an_intent_that_cannot_be_read_names_its_partition() -> None:
    bench = Bench()
    bench.open("one")
    bench.store.stored[INTENT + b"one"] = b"\x02damaged and not ours"
    with pytest.raises(UnreadableIntent, match="asked-0"):
        bench.box.take("bank", 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "take", "settle", "again", "look", "begin", "end", "owner"]),
        st.integers(0, 14),
        st.integers(0, 30),
    ),
    max_size=80,
)


@given(STEPS)
def test_each_open_attempt_that_is_due_is_taken_once_by_each_owner(
    steps: list[tuple[str, int, int]],
) -> None:
    """Whatever happens between: in the end all that is open was taken, and nothing else."""
    bench, opened = Bench(), dict[str, Intent]()
    # By this owner; id and attempt.
    taken: set[tuple[str, int]] = set()
    pending = None
    for step, number, due_ms in steps:
        name = f"i{number}"
        if step == "open" and name not in opened:
            bench.open(name, due_ms)
            opened[name] = Intent(
                id=name, destination="bank", idempotency_key=name,
                payload=b"", due_ms=due_ms, opened_ms=due_ms,
            )  # fmt: skip
        elif step == "again" and name in opened:
            opened[name] = opened[name].again(due_ms)
            open_intent(bench.state, opened[name])
            bench.commit()
        elif step == "settle" and name in opened:
            del opened[name]
            bench.settle(name)
            taken = {one for one in taken if one[0] != name}
        elif step == "look":
            bench.look()
            pending = None
        elif step == "begin":
            under_way = bench.box.begin_survey()
            pending = survey(bench.store.items(INTENT), 3, lambda: False, under_way)
        elif step == "end" and pending is not None:
            bench.box.end_survey(pending)
            pending = None
        elif step == "owner":
            bench.box, taken, pending = Outbox(bench.box.partition), set(), None
            bench.look()
        elif step == "take" and (one := bench.box.take("bank", due_ms)) is not None:
            intent, _ = one
            assert intent == opened[intent.id]
            assert intent.due_ms <= due_ms
            assert (intent.id, intent.attempt) not in taken
            taken.add((intent.id, intent.attempt))
    for _ in range(20):
        bench.look()
        for name in bench.taken(1_000):
            assert (name, opened[name].attempt) not in taken
            taken.add((name, opened[name].attempt))
    assert {(one.id, one.attempt) for one in opened.values()} <= taken
