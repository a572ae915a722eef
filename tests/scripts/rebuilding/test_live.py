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

from scripts.auditing.log import CannotRead
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import Span
from scripts.rebuilding import live
from scripts.rebuilding.recreating import Begins, Refused, Told

WHERE = Servers("localhost:1", "http://localhost:1")


@given(
    st.dictionaries(st.text("ab", max_size=3), st.tuples(st.integers(0, 2), st.integers(0, 20))),
    st.tuples(*[st.integers(0, 5)] * 3),
)
def test_no_newest_status_is_removed_and_all_before_the_first_of_them_is(
    at: dict[str, tuple[int, int]], firsts: tuple[int, int, int]
) -> None:
    newest = {key: Told(part, firsts[part] + offset, {}) for key, (part, offset) in at.items()}
    spans = {part: (first, first + 21) for part, first in enumerate(firsts)}
    found = live.needless(newest, spans)
    for part, (first, end) in spans.items():
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
    live.remove(admin, {0: 5, 1: 0, 2: 7})
    assert admin.removed == {0: 5, 2: 7}


def test_another_answer_ends_it() -> None:
    admin: Any = Admin(1, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(Refused, match="section-status-0"):
        live.remove(admin, {0: 5})


def test_f84_the_topic_has_its_own_policy_again_whatever_happens_meanwhile() -> None:
    admin: Any = Admin()
    with pytest.raises(KeyboardInterrupt), live.deletable(admin):  # noqa: PT012
        assert admin.configs["cleanup.policy"] == "compact,delete"
        # Deletion by age would take what nobody has written again yet.
        assert (admin.configs["retention.ms"], admin.configs["retention.bytes"]) == ("-1", "-1")
        raise KeyboardInterrupt
    assert admin.configs == {
        "cleanup.policy": "compact",
        "retention.ms": None,
        "retention.bytes": None,
    }


def test_the_front_is_removed_and_partitions_without_one_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admin: Any = Admin()
    newest = {"1-A": Told(0, 4, {}), "1-B": Told(0, 7, {}), "1-C": Told(1, 2, {})}
    monkeypatch.setattr(live, "spans_of", lambda *_, **__: {0: (2, 9), 1: (2, 5), 2: (0, 0)})
    monkeypatch.setattr(live, "newest_statuses", lambda _: newest)
    assert live.nudge(WHERE, admin) == 1
    assert admin.removed == {0: 4}


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


def test_each_section_is_waited_for_behind_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    told_by(monkeypatch, {"1-A": 11, "1-B": 23, "1-C": 26})
    told: list[int] = []
    assert live.wait_until_told(WHERE, {"1-A", "1-B"}, {0: 10}, 60.0, told.append) == 0
    assert told[0] == 0
    assert told[-1] == 2
    assert told == sorted(told)


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
