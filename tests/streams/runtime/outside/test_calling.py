"""A call is made, bounded, judged once, and told: whatever its performer does.

Destinations, brokers and stores are in memory (`support.workers.calls_in_memory`).
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.pods.conditions import until
from support.workers.calls_in_memory import Producer, WorkerOfCalls, with_worker

from infra.process import spans
from infra.process.breaker import Phase
from infra.process.log_lines import NONE, Correlation, current
from infra.process.record_ids import Headers, correlation_in
from infra.process.spans import Kind, Span
from streams.intents import Intent
from streams.runtime.outside import calling as module
from streams.runtime.outside.answers import AnswerLog
from streams.runtime.outside.executor import IntentExecutor


def test_f53_a_call_that_takes_too_long_is_cancelled_and_told_as_such(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        await worker.lose()
        worker.call_ms = 1
        worker.own()
        worker.call("one")
        await until(lambda: worker.answers("TIMED_OUT") == 1)
        assert worker.bank.under_way == 0
        labels = {"destination": "bank", "result": "TIMED_OUT"}
        assert worker.metric("seatstream_calls_total", **labels) == 1

    with_worker(tmp_path, talk)


def test_a_performer_that_cancels_itself_has_failed(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = asyncio.CancelledError()
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)

    with_worker(tmp_path, talk)


class Leaves(BaseException):
    """What a package raises that counts on nobody to catch it."""


@pytest.mark.parametrize("error", [SystemExit(1), Leaves()])
def test_a_performer_that_wants_to_end_the_worker_has_failed_and_ends_nothing(
    tmp_path: Path, error: BaseException
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = error
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        worker.bank.fails = None
        worker.call("two")
        await until(lambda: worker.applied == [b"yes"])
        assert worker.bank.calls["key-one"] == 1

    with_worker(tmp_path, talk)


def test_a_performers_own_time_out_is_a_failure_of_its_own(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = TimeoutError("no connection within 1 s")
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        assert worker.told[0].detail == "TimeoutError: no connection within 1 s"

    with_worker(tmp_path, talk)


def test_f60_a_circuit_that_opens_says_what_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.bank.fails = OSError("no route to it")
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        said = (
            "the circuit of bank is OPEN now; the last call that failed: FAILED: OSError: no rou"
        )
        assert said in caplog.text

    with_worker(tmp_path, talk, circuit_failures=1)


def test_a_probe_that_ignores_its_end_does_not_keep_the_circuit_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CANCELLED_S", 0.01)

    async def talk(worker: WorkerOfCalls) -> None:
        await worker.lose()
        worker.call_ms = 1
        worker.own()
        worker.bank.goes.set()
        worker.bank.fails = OSError("told so")
        worker.call("one")
        await until(lambda: worker.answers("FAILED") == 1)
        worker.bank.fails, worker.bank.is_stubborn = None, True
        worker.bank.goes.clear()
        breaker = worker.executor._bulkheads[0].breaker
        breaker.reopens_ms = 0
        worker.call("probe")
        await until(lambda: worker.bank.calls["key-probe"] == 1)
        await until(lambda: breaker.phase is Phase.OPEN)
        worker.bank.is_stubborn = False
        breaker.reopens_ms = 0
        worker.call("other")
        await until(lambda: worker.bank.calls["key-other"] == 1)
        worker.bank.goes.set()
        await until(lambda: worker.bank.under_way == 0)

    with_worker(tmp_path, talk, circuit_failures=1, circuit_probes=1)


def test_destinations_of_one_name_show_the_worst_of_their_circuits(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        route = worker.executor._routes[0]
        executor = IntentExecutor(
            worker.settings,
            [route, replace(route, source="others")],
            AnswerLog(lambda: Producer(worker), worker.parts.observer),
            worker.parts.observer,
            reached=lambda _: None,
            in_trouble=lambda _partition, _trouble: None,
            now_ms=lambda: 0,
        )
        executor.start()
        first, second = (
            bulkhead for bulkhead in executor._bulkheads if bulkhead.destination == "bank"
        )
        first.breaker.failed(first.breaker.begin(), 0)
        for bulkhead in (first, second):
            executor._calling.show_circuit(bulkhead)
        assert worker.metric("seatstream_circuit_state", destination="bank") == 2
        await executor.stop()

    with_worker(tmp_path, talk, circuit_failures=1)


def test_a_call_that_ignores_its_end_tells_nothing(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.is_stubborn = True
        worker.call("one")
        await until(lambda: worker.bank.under_way == 1)
        leaving = asyncio.create_task(worker.executor.leave(worker.partition(0)))
        await until(lambda: worker.bank.was_cancelled)
        worker.bank.goes.set()
        await leaving
        assert worker.bank.done == {"key-one"}
        assert worker.told == []

    with_worker(tmp_path, talk)


IDS = (
    ("correlation-id", b"c1"),
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)


def test_a_call_of_a_recorded_trace_is_a_span_and_one_that_fails_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Span] = []
    monkeypatch.setattr(spans, "_told_to", [SimpleNamespace(add=told.append)])

    async def talk(worker: WorkerOfCalls) -> None:
        worker.bank.goes.set()
        worker.append(0, b"call one bank", IDS)
        worker.append(0, b"call two bank")
        await until(lambda: worker.answers("ANSWERED") == 2)

    with_worker(tmp_path, talk)
    calls = [span for span in told if span.kind is Kind.CLIENT]
    assert [(span.name, span.is_error) for span in calls] == [("call bank", False)]
    assert dict(calls[0].attributes)["seatstream.result"] == "ANSWERED"
    assert {span.kind for span in told} == {Kind.CLIENT, Kind.CONSUMER}


def test_the_ids_of_a_cause_go_on_to_log_lines_of_its_call_and_to_its_answer(
    tmp_path: Path,
) -> None:
    """Also under the next owner, who has them from the store."""
    heard: list[tuple[Correlation, Headers]] = []

    async def talk(worker: WorkerOfCalls) -> None:
        async def hear(intent: Intent) -> bytes:
            heard.append((current.get(), tuple(intent.trace)))
            return await worker.bank(intent)

        worker.performers["bank"] = hear
        await worker.lose()
        worker.own()
        worker.append(0, b"call one bank", [*IDS, ("cookie", b"secret")])
        worker.append(0, b"call two bank")
        await until(lambda: worker.bank.under_way == 2)
        await worker.lose()
        worker.own()
        worker.bank.goes.set()
        await until(lambda: worker.answers("ANSWERED") == 2)
        told = {
            (record.value or b"").split()[1]: record.headers
            for record in worker.log[0]
            if (record.value or b"").startswith(b"answer")
        }
        assert told == {b"one": IDS, b"two": ()}
        assert current.get() == NONE

    with_worker(tmp_path, talk)
    followed_one = (correlation_in(IDS), IDS)
    assert heard.count(followed_one) == heard.count((NONE, ())) == 2
