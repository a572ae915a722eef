"""An attempt takes effect as a whole, and a failure is only its own."""

import pytest

from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState
from streams.working.inbox import Event
from streams.working.kept import Kept
from streams.working.task import BYTES_MAX, Failed, Task, run


def task_over(state: PartitionState) -> Task:
    kept = Kept(Event("e1", "c1"), 7, 5, b"ann", None, ())
    return Task(state, "orders:0", kept, "post", 1_000)


@pytest.fixture
def task() -> Task:
    state = PartitionState(MemoryStore(seed=1))
    state.put(b"old", b"1")
    return task_over(state)


def test_it_sees_what_it_has_put_and_the_state_does_not(task: Task) -> None:
    task.put(b"new", b"2")
    task.delete(b"old")
    assert (task.get(b"new"), task.get(b"old")) == (b"2", None)
    assert task._state.get(b"new") is None
    assert task._state.get(b"old") == b"1"


@pytest.mark.parametrize("key", [b"", b"\xfci1", b"\xfd", b"\xfe1", b"\xff"])
def test_the_keys_of_framework_and_runtime_are_out_of_reach(task: Task, key: bytes) -> None:
    for touch in (task.get, task.delete, lambda key: task.put(key, b"")):
        with pytest.raises(ValueError, match="no key of a worker's own"):
            touch(key)


def test_an_event_is_worth_one_call(task: Task) -> None:
    task.call("office", b"1")
    with pytest.raises(ValueError, match="asks office already"):
        task.call("office", b"2")


@pytest.mark.parametrize(
    "work",
    [
        lambda task: task.put(b"k", b"x" * BYTES_MAX),
        lambda task: task.emit("t", b"k", b"x" * BYTES_MAX),
        lambda task: task.call("office", b"x" * (33 << 10)),
    ],
)
def test_what_is_too_large_fails_the_attempt_and_not_the_batch(task: Task, work: object) -> None:
    assert run(work, task).startswith("ValueError: ")  # type: ignore[arg-type]


def raising(error: BaseException) -> object:
    def work(_: Task) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Failed("later"), "later"),
        (KeyError("x"), "KeyError: 'x'"),
        (RecursionError("deep"), "RecursionError: deep"),
        (ValueError("\ud800"), "ValueError: ?"),
    ],
)
def test_an_exception_says_why_an_attempt_failed(task: Task, error: Exception, why: str) -> None:
    assert run(raising(error), task) == why  # type: ignore[arg-type]


def test_want_of_memory_is_no_events_fault(task: Task) -> None:
    with pytest.raises(MemoryError):
        run(raising(MemoryError()), task)  # type: ignore[arg-type]


class Broken(MemoryStore):
    def get_many(self, keys: list[bytes]) -> list[bytes | None]:  # noqa: ARG002
        raise OSError("unreadable")


@pytest.mark.parametrize("catches", [True, False])
def test_a_store_that_cannot_be_read_is_raised_whatever_is_caught(*, catches: bool) -> None:
    task = task_over(PartitionState(Broken(seed=1)))

    def work(task: Task) -> None:
        try:
            task.get(b"k")
        except OSError:
            if not catches:
                raise

    with pytest.raises(OSError, match="unreadable"):
        run(work, task)


def test_it_knows_the_partition_of_its_event(task: Task) -> None:
    assert task.partition == 0
