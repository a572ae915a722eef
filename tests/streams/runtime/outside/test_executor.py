"""Intents performed: who is called, how often, and what the handler hears of it.

Destinations, brokers and stores are in memory (`support.workers.calls_in_memory`).
"""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until
from support.workers.calling import calling
from support.workers.calls_in_memory import Destination, WorkerOfCalls, with_worker

from state.stores.partition_state import PartitionState
from streams.intents import INTENT, open_intents
from streams.route import OTHERS
from streams.runtime.outside import executor as module
from streams.runtime.outside import outbox
from streams.runtime.process.failpoints import OF_INTENTS
from streams.settings import Settings


def test_an_intent_is_performed_after_its_commit_and_applied_once(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.producers.goes.clear()
        worker.call("one")
        await until(lambda: worker.producers.begun == 1)
        assert not worker.bank.calls
        worker.producers.goes.set()
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls == {"key-one": 1}
        await until(lambda: worker.reached["intents_settled"] == 1)
        assert worker.reached == dict.fromkeys(OF_INTENTS, 1)
        labels = {"destination": "bank", "result": "ANSWERED"}
        assert worker.metric("seatstream_calls_total", **labels) == 1

    with_worker(tmp_path, talk)


def test_f56_the_next_owner_calls_again_with_the_same_key(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one")
        await until(lambda: worker.bank.under_way == 1)
        await worker.lose()
        assert worker.bank.under_way == 0
        assert worker.answers("ANSWERED") == 0
        worker.bank.goes.set()
        worker.own()
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls == {"key-one": 2}

    with_worker(tmp_path, talk)


def test_due_times_survive_the_owner(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.append(0, b"call later bank 5000")
        await until(lambda: worker.reached["intents_committed"] == 1)
        await worker.lose()
        worker.own()
        worker.call("now")
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls == {"key-now": 1}
        worker.after_pause(5_000)
        await until(lambda: worker.bank.calls["key-later"] == 1)

    with_worker(tmp_path, talk)


def test_f54_what_fails_is_tried_again_when_the_handler_says_so(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = ConnectionResetError("told so")
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        await until(lambda: worker.partition(0).committed_offset == 2)
        worker.bank.fails = None
        worker.after_pause(worker.retry_ms)
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls == {"key-one": 2}

    with_worker(tmp_path, talk)


def test_a_destination_that_hangs_holds_up_no_other_and_no_decision(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.post.goes.set()
        worker.call(*[f"slow{number}" for number in range(2_000)])
        worker.call(*[f"quick{number}" for number in range(50)], destination="post")
        worker.call("other", destination="post", partition=1)
        await until(lambda: len(worker.applied) == 51)
        assert worker.bank.under_way == worker.bank.most == 8
        assert worker.post.most <= 8
        # What is not begun lies in the store, not in memory.
        assert len(worker.executor._calls) == 8
        worker.bank.goes.set()
        await until(lambda: len(worker.applied) == 2_051, 120)
        assert set(worker.bank.calls.values()) == {1}
        assert worker.bank.most == 8

    with_worker(tmp_path, talk, count=2, calls=16, calls_per_destination=10)


def test_partitions_take_turns_at_a_destination(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("first")
        await until(lambda: worker.bank.under_way == 1)
        worker.call(*[f"many{number}" for number in range(100)])
        worker.call("few", partition=1)
        await until(lambda: worker.reached["intents_committed"] >= 2)
        await until(lambda: all(one.committed_offset for one in worker.partitions))
        worker.bank.goes.set()
        await until(lambda: worker.bank.calls["key-few"] == 1)
        assert len(worker.bank.calls) <= 4

    with_worker(tmp_path, talk, count=2, calls_per_destination=1)


def test_f60_an_open_circuit_is_told_once_to_each_intent_and_makes_no_hot_loop(
    tmp_path: Path,
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        await worker.lose()
        # The worst handler: whatever it hears, it wants another try at once.
        worker.retry_ms = 0
        worker.own()
        worker.bank.goes.set()
        worker.bank.fails = OSError("told so")
        worker.post.goes.set()
        worker.call(*[f"i{number}" for number in range(20)])
        await until(lambda: worker.answers("NOT_TRIED") == 20)
        bulkhead = worker.executor._bulkheads[0]
        await until(lambda: bulkhead.under_way == 0)
        for number in range(200):
            worker.call(f"p{number}", destination="post")
        await until(lambda: len(worker.applied) == 200)
        assert worker.answers("NOT_TRIED") == 20
        assert worker.metric("seatstream_circuit_state", destination="bank") == 2
        # Whoever wants to begin something there is told so, and of nothing else.
        [(name, left_ms)] = worker.executor.left_alone("asked").items()
        assert (name, 0 < left_ms <= 3_600_000) == ("bank", True)
        assert worker.executor.left_alone("others") == {}
        # It comes back: what waited is performed.
        worker.bank.fails = None
        bulkhead.breaker.reopens_ms = 0
        assert worker.executor.left_alone("asked") == {}
        worker.call("new")
        await until(lambda: len(worker.applied) == 221)
        assert worker.metric("seatstream_circuit_state", destination="bank") == 0

    with_worker(tmp_path, talk, circuit_open_ms=3_600_000)


def test_answers_wait_for_brokers_that_are_away(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.sends_fail = 3
        worker.call("one")
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls == {"key-one": 1}
        assert worker.producers_running == 1

    with_worker(tmp_path, talk)


def test_a_partition_that_has_left_or_waits_performs_nothing(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one")
        await until(lambda: worker.bank.under_way == 1)
        worker.executor.pause(worker.partition(0))
        await until(lambda: worker.bank.under_way == 0)
        worker.call("other")
        worker.call("parked", partition=1)
        await until(lambda: worker.partition(0).committed_offset == 2)
        worker.bank.goes.set()
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls == {"key-one": 1, "key-parked": 1}
        # A partition that waits for a schema performs nothing until it goes on.
        worker.append(1, b"call later bank 500")
        await until(lambda: worker.partition(1).committed_offset == 3)
        worker.partition(1).is_waiting = True
        worker.after_pause(1_000)
        worker.call("third", partition=2)
        await until(lambda: len(worker.applied) == 2)
        assert worker.bank.calls["key-later"] == 0
        worker.partition(1).is_waiting = False
        await until(lambda: worker.bank.calls["key-later"] == 1)

    with_worker(tmp_path, talk, count=3)


def test_an_intent_that_cannot_be_read_sets_its_partition_aside(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.append(0, b"call later bank 5000")
        await until(lambda: worker.reached["intents_committed"] == 1)
        key = INTENT + b"later"
        worker.stores[0].stored[key] = worker.stores[0].stored[key][:-1] + b"!"
        worker.after_pause(5_000)
        await until(lambda: worker.troubles)
        assert worker.troubles[0].forget_store
        # The other partition goes on.
        worker.bank.goes.set()
        worker.call("other", partition=1)
        await until(lambda: worker.applied == [b"yes"])

    with_worker(tmp_path, talk, count=2)


def test_who_leaves_gives_calls_their_time_and_begins_none(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one")
        await until(lambda: worker.bank.under_way == 1)
        leaving = asyncio.create_task(worker.executor.drain())
        await asyncio.sleep(0)
        worker.call("two")
        await until(lambda: worker.partition(0).committed_offset == 2)
        worker.bank.goes.set()
        await leaving
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls == {"key-one": 1}
        [left] = open_intents(worker.partition(0).state)
        assert left.id == "two"

    with_worker(tmp_path, talk)


def test_who_leaves_does_not_wait_for_a_call_that_hangs(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one")
        await until(lambda: worker.bank.under_way == 1)
        await worker.executor.drain()
        assert worker.bank.under_way == 1

    with_worker(tmp_path, talk, calls_end_s=0.01)


def test_who_leaves_lets_go_of_what_performers_keep_and_of_the_rest_too(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        closed: list[str] = []

        async def close() -> None:
            closed.append("asked")
            raise OSError("told so")

        worker.bank.goes.set()
        worker.call("one")
        await until(lambda: worker.applied == [b"yes"])
        worker.executor._routes = [replace(worker.executor._routes[0], close=close)]
        await worker.executor.stop()
        assert closed == ["asked"]
        assert worker.producers_running == 0

    with_worker(tmp_path, talk)


@pytest.mark.parametrize(
    ("performers", "calls", "each", "share", "others"),
    [
        # Nothing is called behind `others` here, and it takes no call from who is called.
        (("mock", "stripe", "toss", "fourth", OTHERS), 128, 32, 32, 1),
        (("mock", OTHERS), 128, 32, 32, 32),
        (("mock", "stripe", OTHERS), 20, 32, 10, 1),
        ((OTHERS,), 128, 32, 0, 32),
        (("bank", "post"), 5, 32, 2, 0),
        (("bank", "post", OTHERS), 1, 32, 1, 1),
    ],
)
def test_named_destinations_share_the_calls_and_leave_the_rest_to_others(
    performers: tuple[str, ...], calls: int, each: int, share: int, others: int
) -> None:
    settings = Settings(calls=calls, calls_per_destination=each)
    route = calling(dict.fromkeys(performers, Destination()))
    shares = {name: module._share(settings, route, name) for name in performers}
    assert shares.pop(OTHERS, 0) == others
    assert set(shares.values()) <= {share}


@pytest.mark.parametrize("at_once", [1, 1_000])
def test_a_fold_of_all_history_calls_nobody_for_what_history_has_settled(
    tmp_path: Path, at_once: int
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.call(*[f"i{number}" for number in range(20)])
        worker.append(0, b"call later bank 5000")
        await until(lambda: len(worker.applied) == 20)
        await worker.lose()
        worker.forget_all()
        worker.own()
        await until(lambda: worker.partition(0).committed_offset == len(worker.log[0]))
        # Whoever is new is performed, so whatever would be performed has been.
        worker.call("new")
        await until(lambda: worker.bank.calls["key-new"] == 1)
        assert set(worker.bank.calls.values()) == {1}
        assert len(worker.bank.calls) == 21
        worker.after_pause(5_000)
        await until(lambda: worker.bank.calls["key-later"] == 1)

    with_worker(tmp_path, talk, transaction_records=at_once)


def test_an_answer_in_the_log_is_met_before_anybody_calls_again(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one")
        await until(lambda: worker.bank.under_way == 1)
        # It is answered, and nobody folds that any more.
        worker.partition(0).is_waiting = True
        worker.bank.goes.set()
        await until(lambda: worker.answers("ANSWERED") == 1)
        await worker.lose()
        worker.own()
        # Its store tells of an open intent before its log is folded.
        worker.commit.hold_back(True)
        [box] = worker.executor._boxes.values()
        await until(lambda: box.found.open == {"bank": 1})
        for _ in range(100):
            await asyncio.sleep(0)
        worker.commit.hold_back(False)
        worker.call("two")
        await until(lambda: worker.all_applied() == ["yes", "yes"])
        assert worker.bank.calls == {"key-one": 1, "key-two": 1}

    with_worker(tmp_path, talk)


def test_answers_that_change_no_intent_do_not_stop_a_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "UNFOLDED_MAX", 2)

    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.tell = lambda _intent, _answer: (None, b"nonsense to the handler")
        worker.call(*[f"i{number}" for number in range(7)])
        await until(lambda: len(worker.bank.calls) == 7)

    with_worker(tmp_path, talk, calls_per_destination=1)


def test_a_performer_of_others_performs_whatever_has_none_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was open for one that is gone, and what is opened now; in a bulkhead of its own."""

    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("old")
        await until(lambda: worker.bank.under_way == 1)
        await worker.lose()
        others = Destination()
        worker.performers = {"post": worker.post, OTHERS: others}
        worker.own()
        await until(lambda: others.under_way == 1)
        await until(lambda: worker.metric("seatstream_open_intents", destination=OTHERS) == 1)
        worker.call("new", destination="nowhere")
        await until(lambda: others.under_way == 2)
        worker.post.goes.set()
        worker.call("quick", destination="post")
        await until(lambda: worker.applied == [b"yes"])
        others.goes.set()
        await until(lambda: len(worker.applied) == 3)
        assert not worker.troubles
        assert not [one for one in caplog.messages if "none of its performers" in one]

    with_worker(tmp_path, talk)


def test_partitions_that_are_given_up_together_have_one_time_for_their_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.is_stubborn = True
        for number in range(3):
            worker.call("one", partition=number)
        await until(lambda: worker.bank.under_way == 3)
        monkeypatch.setattr(module, "CANCELLED_S", 0.0)
        for partition in worker.partitions:
            worker.executor.pause(partition)
        # It has begun for all of them, and is over.
        monkeypatch.setattr(module, "CANCELLED_S", 3_600.0)
        async with asyncio.timeout(60):
            for partition in worker.partitions:
                await worker.executor.leave(partition)
        assert worker.bank.under_way == 3
        worker.bank.goes.set()
        await until(lambda: worker.bank.under_way == 0)

    with_worker(tmp_path, talk, count=3)


# --- looking through stores -----------------------------------------------------------------


# --- calls and circuits ---------------------------------------------------------------------


def test_performers_that_do_not_close_hold_up_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CANCELLED_S", 0.01)

    async def talk(worker: WorkerOfCalls) -> None:
        async def close() -> None:
            await asyncio.Event().wait()

        worker.executor._routes = [replace(worker.executor._routes[0], close=close)]
        await worker.executor.stop()
        assert "performers of asked do not close" in caplog.text
        worker.executor._routes = []

    with_worker(tmp_path, talk)


def test_a_probe_that_was_abandoned_makes_room_for_another(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = OSError("told so")
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        worker.bank.fails = None
        worker.bank.goes.clear()
        worker.executor._bulkheads[0].breaker.reopens_ms = 0
        worker.call("probe")
        await until(lambda: worker.bank.calls["key-probe"] == 1)
        worker.executor.pause(worker.partition(0))
        worker.call("other", partition=1)
        await until(lambda: worker.bank.calls["key-other"] == 1)

    with_worker(tmp_path, talk, count=2, circuit_failures=1, circuit_probes=1)


def test_an_intent_that_nobody_performs_sets_its_partition_aside(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one", destination="nowhere")
        await until(lambda: worker.troubles)
        assert "none of its performers: bank, post" in str(worker.troubles[0])
        assert open_intents(PartitionState(worker.stores[0])) == []

    with_worker(tmp_path, talk)


def test_the_next_owner_goes_on_where_the_group_stands(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.call("one")
        await until(lambda: worker.applied == [b"yes"])
        # Appended, and not decided before the owner dies.
        worker.commit.stop_intake()
        worker.call("two")
        await worker.lose()
        worker.own()
        await until(lambda: worker.bank.calls["key-two"] == 1)

    with_worker(tmp_path, talk)


STEPS = st.lists(
    st.sampled_from(["call", "later", "answers", "hangs", "fails", "goes", "time", "owner"]),
    max_size=25,
)


@given(STEPS)
def test_f52_f56_whatever_happens_each_is_applied_once_under_its_one_key(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Owners die, destinations fail and hang, answers come twice."""

    async def talk(worker: WorkerOfCalls) -> None:
        names: list[str] = []
        worker.bank.goes.set()
        worker.bank.says = b"done ID"
        for step in steps:
            if step in {"call", "later"}:
                names.append(f"i{len(names)}")
                pause_ms = 500 if step == "later" else 0
                worker.append(0, f"call {names[-1]} bank {pause_ms}".encode())
            elif step == "answers":
                # Whatever was told is told once more.
                values = [record.value or b"" for record in worker.log[0]]
                for value in [one for one in values if one.startswith(b"answer")][-2:]:
                    worker.append(0, value)
            elif step in {"hangs", "goes"}:
                (worker.bank.goes.clear if step == "hangs" else worker.bank.goes.set)()
                worker.bank.fails = None
            elif step == "fails":
                worker.bank.fails = OSError("told so")
            elif step == "time":
                worker.after_pause(700)
            elif step == "owner":
                await worker.lose()
                worker.own()
            for _ in range(5):
                await asyncio.sleep(0)
        worker.bank.fails = None
        worker.bank.goes.set()
        async with asyncio.timeout(60):
            while len(worker.all_applied()) < len(names):
                worker.after_pause(worker.retry_ms)
                await asyncio.sleep(0.001)
        await until(lambda: worker.partition(0).committed_offset == len(worker.log[0]))
        assert Counter(worker.all_applied()) == Counter(f"done {name}" for name in names)
        assert worker.bank.done == {f"key-{name}" for name in names} == set(worker.bank.calls)
        assert open_intents(worker.partition(0).state) == []

    directory = tmp_path_factory.mktemp("worker")
    with_worker(directory, talk, circuit_failures=1_000)
