"""Which partitions take nothing: judged by the thread that takes in what brokers answered."""

import asyncio
from collections import deque
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until

from state.kafka.command_log import (
    STUCK_AFTER_S,
    AppendUnknown,
    CommandLog,
    NotAppended,
    _Sent,
)


class Answered:
    """Stands for the message that a broker's answer is about."""

    def offset(self) -> int:
        return 7


def sent(log: CommandLog, partition: int, at_s: float) -> _Sent:
    """Have a record on its way since a moment."""
    loop = asyncio.get_running_loop()
    one = _Sent(loop.create_future(), partition, 0, at_s)
    log._unacknowledged.setdefault(partition, deque()).append(one)
    log._in_flight += 1
    return one


def acknowledge(log: CommandLog, *records: _Sent) -> None:
    message: Any = Answered()
    for record in records:
        log._delivered(record, None, message)


def test_f4_a_loop_that_is_late_blames_no_partition_whose_answers_came() -> None:
    async def scenario() -> None:
        log = CommandLog("nowhere:1")
        log._partitions, log._producer = 4, object()  # type: ignore[assignment]
        records = [sent(log, number % 2, at_s=10.0) for number in range(6)]
        # The thread takes the answers in; the loop, an hour late, has heard of none.
        acknowledge(log, *records)
        log._stuck = log._stuck_at(3_610.0)
        assert log.statistics().in_flight == 6
        assert log.statistics().stuck == 0
        log._refuse_early(0)
        # What a later poll finds owed is owed by the brokers.
        owed = sent(log, 1, at_s=3_610.0)
        log._stuck = log._stuck_at(3_609.9 + STUCK_AFTER_S)
        assert log.statistics().stuck == 0
        log._stuck = log._stuck_at(3_610.1 + STUCK_AFTER_S)
        assert log.statistics().stuck == 1
        with pytest.raises(NotAppended, match="partition 1 acknowledges nothing"):
            log._refuse_early(1)
        log._refuse_early(0)
        acknowledge(log, owed)
        log._stuck = log._stuck_at(9_999.0)
        log._refuse_early(1)

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=20))
def test_a_partition_is_stuck_exactly_while_its_oldest_record_is_owed_for_too_long(
    story: list[tuple[int, bool]],
) -> None:
    async def scenario() -> None:
        log = CommandLog("nowhere:1")
        owed: dict[int, list[tuple[float, _Sent]]] = {}
        now_s = 100.0
        for partition, is_sent in story:
            now_s += 0.3
            waiting = owed.setdefault(partition, [])
            if is_sent:
                waiting.append((now_s, sent(log, partition, now_s)))
            elif waiting:
                acknowledge(log, waiting.pop(0)[1])
            late = {
                number
                for number, records in owed.items()
                if records and now_s - records[0][0] > STUCK_AFTER_S
            }
            assert log._stuck_at(now_s) == late

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (KafkaError(KafkaError._TRANSPORT, "b:1/1: Connect to b:1 failed: refused"), NotAppended),
        (KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"), AppendUnknown),
    ],
)
def test_a_refusal_after_a_lost_connection_is_not_certain(
    said: KafkaError, expected: type[Exception]
) -> None:
    """What was sent over the lost connection may lie in the log."""

    async def scenario() -> None:
        log = CommandLog("nowhere:1")
        record = sent(log, 0, at_s=10.0)
        log._complain(said)
        refusal = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        assert type(log._failure(record, refusal)) is expected

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_log_whose_thread_has_ended_says_why_and_takes_nothing() -> None:
    async def scenario() -> None:
        log = CommandLog("127.0.0.1:1", kafka={"security.protocol": "no such"})
        log.start()
        await until(lambda: log.failure is not None)
        assert not log.is_ready()
        assert "ended: KafkaException" in log.trouble
        with pytest.raises(NotAppended, match="ended: KafkaException"):
            await log.send(b"key", b"", partition=0)
        await log.close()

    asyncio.run(scenario())
