"""A topic is made anew only at rest, from wherever one was stopped, and is waited for.

Brokers are two functions here: what they do is for
`tests/integration/test_scripts_on_a_broker.py`.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from support.logs.audit_logs import ID_BY_NAME, sound_log
from support.logs.progress_lines import said_on_the_way

from schemas.topics import SEATS_CHANGELOG, SECTION_COMMANDS, SECTION_STATUS, Topic
from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown, Rest
from scripts.contracts.topics import Create, Existing
from scripts.history import reading
from scripts.history.reading import Unread
from scripts.rebuilding import recreating
from scripts.rebuilding.comparing import Comparison, Counts, compare
from scripts.rebuilding.recreating import Refused

WHERE = Servers("localhost:1", "http://localhost:1")
PARTITIONS = 3


class Admin:
    """Topics by name; lingers: how often a deleted one is still told of."""

    topics: dict[str, Existing] = {}  # noqa: RUF012 (made anew by the fixture)
    lingers = 0
    deleted: list[str] = []  # noqa: RUF012

    def __init__(self, _: Any) -> None: ...

    def delete_topics(self, names: list[str], **_: Any) -> dict[str, "Future[None]"]:
        answer: Future[None] = Future()
        for name in names:
            if Admin.topics.pop(name, None) is None:
                unknown = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
                answer.set_exception(KafkaException(unknown))
            else:
                Admin.deleted.append(name)
                answer.set_result(None)
        return dict.fromkeys(names, answer)

    def list_topics(self, timeout: float) -> Any:
        assert timeout > 0
        Admin.lingers -= 1
        gone = Admin.deleted if Admin.lingers >= 0 else []
        return type("Metadata", (), {"topics": {*Admin.topics, *gone}})


@pytest.fixture(autouse=True)
def _brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    Admin.topics = {
        SECTION_COMMANDS.name: Existing(PARTITIONS, 3, {}),
        SECTION_STATUS.name: Existing(PARTITIONS, 2, {}),
    }
    Admin.deleted = []
    Admin.lingers = 2
    monkeypatch.setattr(recreating, "PAUSE_S", 0.0)

    def existing(_: Any, names: Iterable[str]) -> dict[str, Existing]:
        return {name: Admin.topics[name] for name in names if name in Admin.topics}

    def carry_out(_: Any, steps: Iterable[Create]) -> None:
        for step in steps:
            Admin.topics[step.name] = Existing(step.partitions, step.replication, step.configs)

    monkeypatch.setattr(recreating, "AdminClient", Admin)
    monkeypatch.setattr(recreating, "existing_topics", existing)
    monkeypatch.setattr(recreating, "carry_out", carry_out)


def test_s003_5_the_topic_gets_the_partitions_of_the_commands_and_its_own_replicas() -> None:
    step, is_there, holds_up = recreating.create_of(WHERE, None)
    assert (step.partitions, step.replication, is_there, holds_up) == (PARTITIONS, 2, True, False)
    assert step.configs["min.insync.replicas"] == "1"
    assert recreating.create_of(WHERE, 3).step.configs["min.insync.replicas"] == "2"


def test_workers_decide_nothing_where_the_topic_is_gone() -> None:
    Admin.topics[SECTION_STATUS.name] = Existing(7, 2, {})
    found = recreating.create_of(WHERE, None)
    assert (found.step.partitions, found.is_there, found.holds_up) == (PARTITIONS, True, False)
    assert recreating.create_of(WHERE, None, 40).step.partitions == 40
    del Admin.topics[SECTION_STATUS.name]
    found = recreating.create_of(WHERE, None)
    assert (found.is_there, found.holds_up) == (False, True)


def test_a_topic_that_is_gone_gets_the_replicas_of_the_commands() -> None:
    del Admin.topics[SECTION_STATUS.name]
    assert recreating.create_of(WHERE, None).step.replication == 3
    del Admin.topics[SECTION_COMMANDS.name]
    with pytest.raises(Refused, match=SECTION_COMMANDS.name):
        recreating.create_of(WHERE, None)


@pytest.mark.parametrize("is_there", [True, False])
def test_f84_whoever_was_stopped_behind_the_deletion_goes_on_there(is_there: bool) -> None:
    step = recreating.create_of(WHERE, None).step
    if not is_there:
        del Admin.topics[SECTION_STATUS.name]
    recreating.recreate(WHERE, step)
    assert Admin.topics[SECTION_STATUS.name].partitions == PARTITIONS
    assert Admin.deleted == [SECTION_STATUS.name] * is_there


def test_s003_5_nothing_is_deleted_while_commands_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = {(SECTION_COMMANDS.name, 2): (5, 9)}
    monkeypatch.setattr(recreating, "rest", lambda *_: Rest({}, {}, behind))
    with pytest.raises(Refused, match="section-commands-2 at 5 of 9"):
        recreating.check_at_rest(WHERE, "group")
    monkeypatch.setattr(recreating, "rest", lambda *_: Rest({}, {}, {}))
    recreating.check_at_rest(WHERE, "group")


def test_a_group_that_nobody_can_ask_about_is_not_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise OffsetsUnknown("no answer")

    monkeypatch.setattr(recreating, "rest", unknown)
    with pytest.raises(Refused, match="no answer"):
        recreating.check_at_rest(WHERE, "group")


def answers(monkeypatch: pytest.MonkeyPatch, *found: Comparison) -> list[Comparison]:
    left = list(found)
    monkeypatch.setattr(recreating, "PAUSE_S", 0.0)
    monkeypatch.setattr(
        recreating, "compared", lambda *_: left.pop(0) if len(left) > 1 else left[0]
    )
    return left


STATE = {"1-A": Counts(1, 1, 0, 0, 0, 1, 1)}
MISSING = compare(STATE, {})
WELL = compare(
    STATE, {"1-A": {"version": 1, "availableCount": 1, "heldCount": 0, "largestBlock": 1}}
)
UNKNOWN = compare(
    {}, {"1-A": {"version": 1, "availableCount": 1, "heldCount": 0, "largestBlock": 1}}
)


def test_what_is_missing_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = answers(monkeypatch, MISSING, MISSING, WELL)
    told = said_on_the_way(lambda: recreating.compared_in_time(WHERE, 60.0), monkeypatch, capsys)
    assert left == [WELL]
    assert told == ["statuses verified: 0 of 1", "statuses verified: 1 of 1"]


def test_what_will_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, UNKNOWN)
    assert recreating.compared_in_time(WHERE, 3_600.0) is UNKNOWN
    answers(monkeypatch, MISSING)
    assert recreating.compared_in_time(WHERE, 0.0) is MISSING


def test_f82_statuses_of_a_sound_log_are_those_of_its_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = sound_log(3, 300, PARTITIONS)
    lying = {SEATS_CHANGELOG.name: log.changelog, SECTION_STATUS.name: log.statuses}

    def lines_of(
        _: Servers,
        topic: Topic,
        is_wanted: Callable[[LogRecord], bool],
        partitions: Iterable[int] | None = None,
        _begins: object = None,
    ) -> list[tuple[int, LogRecord]]:
        chosen = range(PARTITIONS) if partitions is None else partitions
        records = [(part, one) for part in chosen for one in lying[topic.name][part]]
        return [one for one in records if is_wanted(one[1])]

    writers = {number: (name, None) for name, number in ID_BY_NAME.items()}
    monkeypatch.setattr(reading, "each_line", lines_of)
    monkeypatch.setattr(recreating, "each_line", lines_of)
    monkeypatch.setattr(recreating, "spans_of", lambda *_, **__: range(PARTITIONS))
    monkeypatch.setattr(reading, "writers_of", lambda *_: (writers, []))
    found = recreating.compared(WHERE)
    assert found.verdicts
    assert found.is_well, found.why


def test_s3_9_what_may_be_a_newest_status_and_cannot_be_read_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = sound_log(3, 300, PARTITIONS)
    lying = [(part, one) for part, records in log.statuses.items() for one in records]
    monkeypatch.setattr(recreating, "each_line", lambda *_: lying)

    def counted(writers: dict[int, tuple[str, None]]) -> Unread:
        monkeypatch.setattr(reading, "writers_of", lambda *_: (writers, []))
        unread = Unread()
        recreating.newest_statuses(WHERE, unread=unread)
        return unread

    writers = {number: (name, None) for name, number in ID_BY_NAME.items()}
    assert counted(writers).count == 0
    # A registry that does not know the ids.
    found = counted({})
    assert found.count == len(lying)
    assert found.partitions == {part for part, _ in lying}
    # A value of another section than its key's.
    lying[0] = (lying[0][0], replace(lying[0][1], key=b"9-elsewhere"))
    found = counted(writers)
    assert (found.count, found.partitions) == (1, {lying[0][0]})
