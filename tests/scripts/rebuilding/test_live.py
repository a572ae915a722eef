"""What is removed on the way is nobody's newest status, and what is waited for is behind it.

That brokers and workers do their part is shown in `tests/integration/test_scripts_on_a_broker.py`.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from support.logs.progress_lines import said_on_the_way

from schemas.topics import SECTION_STATUS
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import Span
from scripts.history.reading import Unread
from scripts.rebuilding import live
from scripts.rebuilding.recreating import Begins, Refused, Told
from state.domain.keys import partition_of

WHERE = Servers("localhost:1", "http://localhost:1")


@given(
    st.dictionaries(st.text("ab", max_size=3), st.tuples(st.integers(0, 2), st.integers(0, 20))),
    st.tuples(*[st.integers(0, 5)] * 3),
    st.sets(st.integers(0, 2)),
)
def test_no_newest_status_is_removed_and_all_before_the_first_of_them_is(
    at: dict[str, tuple[int, int]], firsts: tuple[int, int, int], untold: set[int]
) -> None:
    newest = {key: Told(part, firsts[part] + offset, {}) for key, (part, offset) in at.items()}
    spans = {part: (first, first + 21) for part, first in enumerate(firsts)}
    found = live.needless(newest, spans, untold)
    assert not found.keys() & untold
    for part in spans.keys() - untold:
        first, end = spans[part]
        offsets = [told.offset for told in newest.values() if told.partition == part]
        assert found.get(part, first) == min(offsets, default=end)


class Admin:
    """Refuses to delete until it has heard of the policy; keeps what it was told."""

    def __init__(self, deaf: int = 0, code: int = KafkaError.POLICY_VIOLATION) -> None:
        self.deaf, self.code = deaf, code
        self.configs: dict[str, str | None] = {}
        self.removed: dict[int, int] = {}

    def incremental_alter_configs(self, resources: list[Any]) -> dict[Any, "Future[None]"]:
        for entry in resources[0].incremental_configs:
            self.configs[entry.name] = entry.value
        done: Future[None] = Future()
        done.set_result(None)
        return {resources[0]: done}

    def delete_records(
        self, places: list[TopicPartition], request_timeout: float
    ) -> dict[TopicPartition, "Future[None]"]:
        assert request_timeout > 0
        found = {}
        for place in places:
            answer: Future[None] = Future()
            if self.deaf:
                self.deaf -= 1
                answer.set_exception(KafkaException(KafkaError(self.code)))
            else:
                self.removed[place.partition] = place.offset
                answer.set_result(None)
            found[place] = answer
        return found


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAUSE_S", 0.0)


def test_records_are_removed_once_their_leader_has_heard_of_the_policy() -> None:
    admin: Any = Admin(deaf=3)
    live.remove(admin, SECTION_STATUS, {0: 5, 1: 0, 2: 7})
    assert admin.removed == {0: 5, 2: 7}


def test_another_answer_ends_it() -> None:
    admin: Any = Admin(1, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(Refused, match="section-status-0"):
        live.remove(admin, SECTION_STATUS, {0: 5})


def test_f84_the_topic_has_its_own_policy_again_whatever_happens_meanwhile() -> None:
    admin: Any = Admin()
    with pytest.raises(KeyboardInterrupt), live.deletable(admin, SECTION_STATUS):  # noqa: PT012
        assert admin.configs["cleanup.policy"] == "compact,delete"
        # Deletion by age would take what nobody has written again yet.
        assert (admin.configs["retention.ms"], admin.configs["retention.bytes"]) == ("-1", "-1")
        raise KeyboardInterrupt
    assert admin.configs == {
        "cleanup.policy": "compact",
        "retention.ms": None,
        "retention.bytes": None,
    }


class Topic:
    """Statuses in three partitions, and the state; unread: partitions of what nobody can read."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = dict.fromkeys(("1-A", "1-B", "1-C"))
        self.unread: list[int] = []
        # As the keys of sections are spread.
        parts = {key: partition_of(key.encode(), 3) for key in self.states}
        self.newest = {key: Told(parts[key], 4 + at, {}) for at, key in enumerate(parts)}
        self.spans = dict.fromkeys(range(3), (2, 9))

    def newest_statuses(self, _: Servers, unread: Unread) -> dict[str, Told]:
        for part in self.unread:
            unread.note(SECTION_STATUS, part, 5, "nobody knows its schema")
        return self.newest


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    made = Topic()
    monkeypatch.setattr(live, "states_of", lambda _: made.states)
    monkeypatch.setattr(live, "spans_of", lambda *_, **__: made.spans)
    monkeypatch.setattr(live, "newest_statuses", made.newest_statuses)
    return made


def test_the_front_is_removed_and_partitions_without_one_are_counted(topic: Topic) -> None:
    admin: Any = Admin()
    first = min(topic.newest.values(), key=lambda told: told.offset)
    topic.spans[first.partition] = (first.offset, 9)
    assert live.nudge(WHERE, admin) == (1, "")
    rest = {told.partition for told in topic.newest.values()} - {first.partition}
    assert rest <= admin.removed.keys()
    assert first.partition not in admin.removed


def test_s3_9_nothing_is_removed_while_anything_cannot_be_read(topic: Topic) -> None:
    """Each may be a newest status, as where the registry is another one, or an older copy."""
    admin: Any = Admin()
    topic.unread = [1]
    found = live.nudge(WHERE, admin)
    assert admin.removed == {}
    assert found.slow == len({1} | {told.partition for told in topic.newest.values()})
    assert "section-status-1, offset 5" in found.unread


def test_s3_9_nothing_is_removed_where_a_section_of_the_state_has_no_status(
    topic: Topic,
) -> None:
    admin: Any = Admin()
    lost = topic.newest.pop("1-B")
    live.nudge(WHERE, admin)
    assert lost.partition not in admin.removed
    assert admin.removed
    # One that a stranger wrote elsewhere is none.
    topic.newest["1-B"] = Told((lost.partition + 1) % 3, 8, {})
    again: Any = Admin()
    live.nudge(WHERE, again)
    assert lost.partition not in again.removed


def told_by(
    monkeypatch: pytest.MonkeyPatch, offsets: dict[str, int]
) -> Callable[[dict[int, Span]], None]:
    """Let one partition hold statuses at these offsets; return what moves its end."""
    spans = {0: (0, 10)}

    def newest(_: Servers, begins: Begins) -> dict[str, Told]:
        end = spans[0][1]
        found = {key: Told(0, at, {}) for key, at in offsets.items() if begins[0] <= at < end}
        spans[0] = (0, end + 5)
        return found

    monkeypatch.setattr(live, "spans_of", lambda *_, **__: spans)
    monkeypatch.setattr(live, "newest_statuses", newest)
    return spans.update


def test_each_section_is_waited_for_behind_where_it_began(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told_by(monkeypatch, {"1-A": 11, "1-B": 23, "1-C": 26})
    missing: list[int] = []
    told = said_on_the_way(
        lambda: missing.append(live.wait_until_told(WHERE, {"1-A", "1-B"}, {0: 10}, 60.0)),
        monkeypatch,
        capsys,
    )
    assert missing == [0]
    assert told == [f"sections written anew: {count} of 2" for count in range(3)]


def test_who_waits_in_vain_says_how_many_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    told_by(monkeypatch, {"1-A": 3})
    assert live.wait_until_told(WHERE, {"1-A", "1-B"}, {0: 10}, 0.0) == 2


@pytest.mark.parametrize("spans", [{0: (0, 4)}, {0: (0, 12), 1: (0, 3)}])
def test_a_topic_that_is_created_again_meanwhile_is_not_taken_for_the_same(
    spans: dict[int, Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    told_by(monkeypatch, {})(spans)
    with pytest.raises(CannotRead, match="created again"):
        live.wait_until_told(WHERE, {"1-A"}, {0: 10}, 60.0)
