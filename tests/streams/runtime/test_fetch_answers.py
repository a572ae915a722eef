"""For how long a partition may not be readable before it is told of, and what counts as news."""

import asyncio
from typing import Any

from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v11
from faust.types import TP

from streams.runtime.fetch_answers import FetchAnswers

ONE, OTHER = TP("in", 0), TP("in", 1)
BOTH = frozenset({ONE, OTHER})


class Broker:
    """A client of aiokafka whose broker answers fetches as it is told to."""

    def __init__(self, answers: FetchAnswers) -> None:
        self.codes: dict[int, int] = {}
        self.whole = 0
        answers.listen_to(self)

    async def send(self, _node_id: int, request: FetchRequest, **_: Any) -> FetchResponse_v11:
        asked = [number for _, parts in request.topics for number, *_ in parts]
        answered = [
            (number, self.codes[number], 0, 0, 0, None, -1, b"")
            for number in asked
            if number in self.codes
        ]
        return FetchResponse_v11(0, self.whole, 0, [("in", answered)] if not self.whole else [])


def fetched(broker: Broker, *, code: int | None = None, other: int | None = None) -> None:
    """Let one fetch of both be answered; None for a partition that is left out."""
    told = {0: code, 1: other}
    broker.codes = {number: code for number, code in told.items() if code is not None}
    request = FetchRequest(10, 1, 1, 1, [("in", [(0, 5, 1), (1, 5, 1)])])
    asyncio.run(broker.send(1, request))


def asking(failing_s: float = 2.0, silent_s: float = 4.0) -> tuple[FetchAnswers, Broker]:
    answers = FetchAnswers(failing_s, silent_s)
    broker = Broker(answers)
    assert answers.judge(BOTH, 1.0) == ({}, [])
    return answers, broker


def test_one_answer_with_an_error_is_passed_over() -> None:
    answers, broker = asking()
    for code in (-1, 0, 56, 0, 6, 0):
        fetched(broker, code=code, other=0)
        assert answers.judge(BOTH, 1.0).unread == {}


def test_errors_that_go_on_are_told_of_their_partition_with_their_name() -> None:
    answers, broker = asking()
    told = []
    for _ in range(3):
        fetched(broker, code=56, other=0)
        found = answers.judge(BOTH, 1.0)
        assert found.read == [OTHER]
        told.append(found.unread)
    assert told[:2] == [{}, {}]
    assert "KafkaStorageError (error code 56)" in told[2][ONE]


def test_who_tries_again_learns_with_the_first_answer_that_nothing_has_changed() -> None:
    answers, broker = asking()
    found = []
    for _ in range(3):
        fetched(broker, code=-1, other=0)
        found.append(answers.judge(BOTH, 1.0))
    assert ONE in found[-1].unread
    # It is set aside; an answer that was on its way comes in.
    fetched(broker, code=-1)
    assert answers.judge(frozenset({OTHER}), 1.0).unread == {}
    assert answers.judge(BOTH, 0.01).unread == {}
    fetched(broker, code=-1)
    assert ONE in answers.judge(BOTH, 0.01).unread
    assert answers.judge(frozenset({OTHER}), 1.0).unread == {}
    assert answers.judge(BOTH, 0.01).read == []
    fetched(broker, code=0)
    assert answers.judge(BOTH, 0.01) == ({}, [ONE])
    fetched(broker, code=-1)
    assert answers.judge(BOTH, 1.0).unread == {}


def test_an_error_of_the_whole_answer_is_one_of_every_partition_asked_for() -> None:
    answers, broker = asking()
    broker.whole = 71
    found = []
    for _ in range(3):
        fetched(broker)
        found.append(answers.judge(BOTH, 1.0))
    assert found[-1].unread.keys() == BOTH


def test_a_partition_that_is_never_told_of_while_others_are_is_told_to_be_silent() -> None:
    answers, broker = asking()
    told = []
    for _ in range(6):
        fetched(broker, other=0)
        told.append(answers.judge(BOTH, 1.0).unread)
    assert told[:4] == [{}] * 4
    assert [set(one) for one in told].count({ONE}) == 1
    assert "no fetch was answered" in next(one for one in told if one)[ONE]


def test_where_no_broker_answers_anything_no_partition_is_to_blame_but_it_is_told() -> None:
    answers, broker = asking()
    assert not answers.is_nobody_heard()
    assert all(answers.judge(BOTH, 1.0) == ({}, []) for _ in range(100))
    assert answers.is_nobody_heard()
    fetched(broker, code=0, other=0)
    assert answers.judge(BOTH, 1.0).unread == {}
    assert not answers.is_nobody_heard()


def test_a_process_that_stood_still_has_waited_for_nobody() -> None:
    answers, broker = asking()
    fetched(broker, code=-1, other=0)
    assert answers.judge(BOTH, 1.0).unread == {}
    fetched(broker, code=-1, other=0)
    assert answers.judge(BOTH, 3_600.0).unread == {}
