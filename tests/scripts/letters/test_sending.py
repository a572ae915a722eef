"""A record and its mark are sent in one transaction; whatever stops it leaves none or both.

The producer is one in memory that has transactions and nothing else: what brokers do is for
`tests/integration/test_dead_letter_commands.py`.
"""

from typing import Any, cast

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from support.logs.letters_in_memory import InMemory
from support.logs.progress_lines import said_on_the_way

from schemas.topics import DEAD_LETTER_QUEUE, SECTION_COMMANDS
from scripts.auditing.topics import LogRecord
from scripts.letters import sending
from scripts.letters.letter import REDRIVEN_FROM, Letter, Mark, Origin, read_letter
from scripts.letters.plan import plan
from scripts.letters.sending import Words, send
from scripts.letters.wanted import Wanted

PARTITIONS = {SECTION_COMMANDS.name: 20}


def letters(count: int) -> list[Letter]:
    return [
        Letter(
            3, at, 1, Origin(SECTION_COMMANDS.name, 3, at, 1), "C", "", b"1-A", b"v", (), {}, ""
        )
        for at in range(count)
    ]


def sent_ids(producer: InMemory) -> list[str]:
    return [
        dict(headers)[REDRIVEN_FROM].decode()
        for topic, *_, headers in producer.committed
        if topic == SECTION_COMMANDS.name
    ]


def marked(producer: InMemory) -> set[str]:
    found = set()
    for topic, partition, key, value, headers in producer.committed:
        if topic == DEAD_LETTER_QUEUE.name:
            mark = read_letter(partition, LogRecord(1, 1, key, value, headers))
            assert isinstance(mark, Mark)
            found.add(mark.origin_id)
    return found


def run(producer: InMemory, some: list[Letter], done: set[str], **more: Any) -> int:
    steps = plan(some, done, Wanted())
    return send(cast("Producer", producer), steps, PARTITIONS, Words("ann", "why"), **more)


@given(st.integers(0, 30), st.integers(0, 60), st.integers(1, 7))
def test_a_run_that_is_stopped_anywhere_and_run_again_sends_each_record_once(
    count: int, dies_at: int, batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "BATCH", batch)
        producer = InMemory(dies_at)
        some = letters(count)
        try:
            run(producer, some, set())
        except KeyboardInterrupt:
            assert set(sent_ids(producer)) == marked(producer)
            producer.dies_at = -1
            run(producer, some, marked(producer))
        assert sent_ids(producer) == [one.origin.id for one in some]
        assert marked(producer) == set(sent_ids(producer))
        assert run(producer, some, marked(producer)) == 0


def test_a_commit_that_may_yet_become_something_is_asked_for_again() -> None:
    producer = InMemory(retries=2)
    assert run(producer, letters(1), set()) == 1
    assert len(producer.committed) == 2


def test_a_value_that_was_made_anew_is_sent_in_place_of_the_original() -> None:
    producer = InMemory()
    [one] = letters(1)
    run(producer, [one], set(), values={one.origin.id: b"new"})
    (_, _, key, value, _), (*_, mark) = producer.committed
    assert (key, value) == (b"1-A", b"new")
    assert dict(mark)["redrive-changed"] == b"true"


def test_how_many_were_sent_is_told_behind_each_transaction(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = InMemory()
    told = said_on_the_way(
        lambda: run(producer, letters(sending.BATCH + 3), set(), rate=1_000_000.0),
        monkeypatch,
        capsys,
    )
    assert told == ["sent back: 100 of 103", "sent back: 103 of 103"]
