"""What an audit reads of seats and payments, and where it cannot, that this is said."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import AVRO
from support.logs.topics_in_memory import Broker, Message
from support.pages.serving import Page, serving

from schemas.topics import SECTION_COMMANDS, SECTION_STATUS
from scripts.auditing.log import look_at_locks, read_topics, with_sections, writers_of
from scripts.auditing.topics import CannotRead, LogRecord, Records
from state.domain.keys import partition_of

NAME = SECTION_COMMANDS.name


@pytest.mark.parametrize("topic", [NAME, "payment-commands"])
def test_commands_without_their_beginning_are_no_log_to_fold(topic: str) -> None:
    broker = Broker(bounds={topic: [(3, 3)]})
    with pytest.raises(CannotRead, match=f"{topic}: .*begin at offset 3"):
        read_topics(cast("Consumer", broker), {})


def test_a_ledger_is_read_where_one_is_named_and_none_is_no_empty_one(tmp_path: Path) -> None:
    broker = cast("Consumer", Broker())
    assert read_topics(broker, {}).ledger is None
    ledger = tmp_path / "ledger"
    with pytest.raises(CannotRead, match="No such file"):
        read_topics(broker, {}, ledger)
    ledger.write_bytes(b"")
    assert read_topics(broker, {}, ledger).ledger == ()
    ledger.write_bytes(b"{}\n")
    with pytest.raises(CannotRead, match="line 1 cannot be read"):
        read_topics(broker, {}, ledger)


def test_locks_are_read_where_redis_is_named_and_none_are_no_empty_ones() -> None:
    log = read_topics(cast("Consumer", Broker()), {})
    look_at_locks(log, "")
    assert log.locks is None
    for address in ("localhost:6379", "redis://127.0.0.1:1"):
        with pytest.raises(CannotRead, match="Redis does not tell its locks"):
            look_at_locks(log, address)
    assert log.locks is None


def test_purchases_are_read_before_what_they_follow_from() -> None:
    class Noting(Broker):
        asked: tuple[str, ...] = ()

        def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
            self.asked += (place.topic,)
            return super().get_watermark_offsets(place, timeout)

    broker = Noting()
    read_topics(cast("Consumer", broker), {})
    order = list(dict.fromkeys(broker.asked))
    effects = ["carts-changelog", "purchases-changelog", "purchase-confirmed", "payment-events"]
    assert order[:3] == ["performance-slots", "seats-allocated", "purchase-created"]
    assert order[3:8] == [*effects, "seats-changelog"]
    assert order.index("cart-commands") > order.index("section-status")
    assert order.index("payment-commands") > order.index("section-status")
    assert order[-1] == NAME


def test_a_state_that_grew_while_the_log_was_read_is_marked_as_moved() -> None:
    class Growing(Broker):
        def consume(self, number: int, timeout: float) -> list[Message]:
            self.bounds["seats-changelog"] = [(0, 2)]
            return super().consume(number, timeout)

    status = SECTION_STATUS.name
    bounds = {"seats-changelog": [(0, 0)], status: [(0, 1)]}
    log = read_topics(cast("Consumer", Growing(Message(0, of=status), bounds=bounds)), {0: 5})
    assert log.moved == {0}
    assert (log.committed, log.ends) == ({0: 5}, {0: 0})
    rest = read_topics(
        cast("Consumer", Broker(Message(0, of=status), bounds={status: [(0, 1)]})), {}
    )
    assert rest.moved == frozenset()


@contextmanager
def registry(answer: Callable[[int], tuple[int, bytes]]) -> Iterator[str]:
    """Serve in place of a registry; yield the address.

    answer: returns status and body for the schema id that a path ends with.
    """

    class Registry(Page):
        def serve(self) -> None:
            self.answer(*answer(int(self.path.rpartition("/")[2])))

    with serving(Registry) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def test_ids_are_asked_for_once_and_only_those_of_ours_are_kept() -> None:
    schemas = {1: json.dumps(AVRO._raw["io.seatstream.commands.Tick"]), 2: '"string"'}
    asked: list[int] = []

    def answer(schema_id: int) -> tuple[int, bytes]:
        asked.append(schema_id)
        if schema_id in schemas:
            return 200, json.dumps({"schema": schemas[schema_id]}).encode()
        return 404, b'{"error_code": 40403, "message": "there is no such schema"}'

    with registry(answer) as address:
        writers, told = writers_of(address, {1, 2, 3, 0, 2**31})
    assert asked == [1, 2, 3]
    assert writers == {1: ("Tick", None)}
    assert [one.schema_id for one in told] == [1]


def test_a_registry_that_does_not_answer_is_named() -> None:
    with pytest.raises(CannotRead, match="Is it up"):
        writers_of("http://127.0.0.1:1", {1})


@pytest.mark.parametrize("body", [b"404 page not found", b"[" * 100_000, b'{"error_code": 404}'])
def test_an_address_without_a_registry_is_none_that_has_forgotten_its_ids(body: bytes) -> None:
    with (
        registry(lambda _: (404, body)) as address,
        pytest.raises(CannotRead, match="registry at"),
    ):
        writers_of(address, {1})


@given(st.lists(st.binary(max_size=5), max_size=20), st.integers(1, 5), st.integers(1, 5))
def test_statuses_are_judged_beside_the_commands_of_their_section(
    keys: list[bytes], count: int, partitions: int
) -> None:
    """Whatever the number of partitions that they lie on."""
    lying: Records = {part: [] for part in range(count)}
    for at, key in enumerate(keys):
        lying[partition_of(key, count)].append(LogRecord(at, 0, key, b"%d" % at))
    found = with_sections(lying, partitions)
    expected: Records = {part: [] for part in range(partitions)}
    for at, key in enumerate(keys):
        expected[partition_of(key, partitions)].append(LogRecord(at, 0, key, b"%d" % at))
    assert {part: sorted(one.offset for one in records) for part, records in found.items()} == {
        part: sorted(one.offset for one in records) for part, records in expected.items()
    }
    for records in found.values():
        for key in keys:
            own = [one.offset for one in records if one.key == key]
            assert own == sorted(own)
