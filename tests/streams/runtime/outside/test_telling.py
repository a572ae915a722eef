"""What a handler hears of the calls for its intents, and what cannot be told.

Destinations, brokers and stores are in memory (`support.workers.calls_in_memory`).
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.pods.conditions import until
from support.workers.calls_in_memory import WorkerOfCalls, with_worker
from support.workers.echo import FakeRecord

from infra.process.record_ids import Headers
from serdes.wire import VALUE_BYTES_MAX
from streams.intents import Answer, NotDone, open_intents
from streams.runtime.outside.answers import AnswerTooLarge


def heard(worker: WorkerOfCalls) -> list[tuple[str, int, str, bool]]:
    """Return id, attempt, result, and whether it may have run, of each answer in partition 0."""
    words = [(record.value or b"").decode().split(" ") for record in worker.log[0]]
    return [(one[1], int(one[2]), one[3], one[4] == "1") for one in words if one[0] == "answer"]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def no_bytes(_: Answer) -> bytes:
    return "text"  # type: ignore[return-value]


def raises(_: Answer) -> bytes:
    raise ZeroDivisionError("told so")


def too_much(_: Answer) -> bytes:
    return bytes(VALUE_BYTES_MAX + 1)


def test_an_answer_that_no_broker_takes_is_told_as_a_failure(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        append = worker.append

        def refuses(partition: int, value: bytes, headers: Headers = ()) -> FakeRecord:
            if value.endswith(b"yes"):
                raise AnswerTooLarge("told so")
            return append(partition, value, headers)

        worker.append = refuses  # type: ignore[method-assign]
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)

    with_worker(tmp_path, talk)


def test_what_was_not_tried_may_have_run_by_any_attempt_and_any_owner_before(
    tmp_path: Path,
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = OSError("told so")
        worker.append(0, b"call found bank 5000")
        await until(lambda: worker.reached["intents_committed"] == 1)
        await worker.lose()
        worker.own()
        # Nobody has called it; but its new owner cannot know.
        worker.call("tried")
        await until(lambda: worker.answers("FAILED") == 1)
        worker.call("never")
        worker.after_pause(5_000)
        await until(lambda: worker.answers("NOT_TRIED") == 3)
        assert sorted(heard(worker)) == [
            ("found", 1, "NOT_TRIED", True),
            ("never", 1, "NOT_TRIED", False),
            ("tried", 1, "FAILED", True),
            ("tried", 2, "NOT_TRIED", True),
        ]
        await until(lambda: worker.partition(0).committed_offset == len(worker.log[0]))
        ran = {one.id: one.may_have_run for one in open_intents(worker.partition(0).state)}
        assert ran == {"found": True, "never": False, "tried": True}

    with_worker(tmp_path, talk, circuit_failures=1, circuit_open_ms=3_600_000)


@pytest.mark.parametrize("error", [OSError("told \udcff so"), Unspeakable()])
def test_what_no_text_can_hold_is_told_as_a_failure(tmp_path: Path, error: Exception) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = error
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        assert not worker.troubles

    with_worker(tmp_path, talk)


@pytest.mark.parametrize("tells", [no_bytes, raises, too_much])
def test_an_answer_that_its_route_cannot_tell_is_told_as_a_failure(
    tmp_path: Path, tells: Callable[[Answer], bytes]
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        tell = worker.tell
        worker.tell = lambda intent, answer: (
            (None, tells(answer)) if answer.result == "ANSWERED" else tell(intent, answer)
        )
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        assert b"the answer to intent one" in (worker.log[0][-1].value or b"")
        assert not worker.troubles

    with_worker(tmp_path, talk)


def test_an_answer_of_which_nobody_can_be_told_is_shown_and_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else its partition would be set aside at every take-over. Nor is anybody called for it."""

    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        tell = worker.tell
        worker.tell = lambda intent, answer: (
            (None, raises(answer)) if intent.id == "odd" else tell(intent, answer)
        )
        name = "seatstream_stranded_intents"
        worker.call("odd")
        for other in ("other-1", "other-2"):
            await until(lambda: worker.metric(name, destination="bank") == 1)
            worker.call(other)
            await until(lambda: worker.applied == [b"yes"])
            assert worker.bank.calls["key-odd"] == 0
            assert not worker.troubles
            await worker.lose()
            worker.own()
        lines = [one for one in caplog.messages if "No call is made for it" in one]
        assert "the answer to intent odd cannot be told: ZeroDivisionError" in lines[0]

    with_worker(tmp_path, talk)


def test_an_answer_that_cannot_be_told_once_it_is_there_is_a_persons_to_ask_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        tell = worker.tell
        worker.tell = lambda intent, answer: (
            (None, raises(answer)) if worker.bank.calls["key-odd"] else tell(intent, answer)
        )
        worker.call("odd")
        await until(lambda: worker.metric("seatstream_stranded_intents", destination="bank") == 1)
        assert worker.bank.calls["key-odd"] == 1
        assert not worker.troubles
        [line] = [one for one in caplog.messages if "ask bank what became of its call" in one]
        assert "the answer to intent odd cannot be told: ZeroDivisionError" in line

    with_worker(tmp_path, talk)


def test_f54_what_a_destination_is_known_not_to_have_done_is_told_as_such(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.append(0, b"call found bank 5000")
        await until(lambda: worker.reached["intents_committed"] == 1)
        await worker.lose()
        worker.own()
        worker.bank.fails = NotDone("sent away", 7_000)
        worker.call("one")
        await until(lambda: worker.answers("NOT_DONE") == 1)
        assert (worker.told[0].detail, worker.told[0].wait_ms) == ("NotDone: sent away", 7_000)
        worker.after_pause(5_000)
        await until(lambda: worker.answers("NOT_DONE") == 3)
        # Of what a former owner may have called for nobody knows whether it was done.
        assert sorted(heard(worker)) == [
            ("found", 1, "NOT_DONE", True),
            ("one", 1, "NOT_DONE", False),
            ("one", 2, "NOT_DONE", False),
        ]
        # It is a failure to the circuit.
        worker.call("late")
        await until(lambda: worker.answers("NOT_TRIED") >= 1)

    with_worker(tmp_path, talk, circuit_failures=3, circuit_open_ms=3_600_000)
