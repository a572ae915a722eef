"""The list of ids beside the log, where no broker answers."""

import json

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from infra.stack.ports import free_ports
from serdes.registry.known_ids import IdLogUnavailableError, KnownId
from state.kafka.schema_id_log import SchemaIdLog


def test_a_list_that_no_broker_gives_or_takes_is_told_in_words_of_its_own() -> None:
    (port,) = free_ports(1)
    log = SchemaIdLog(f"127.0.0.1:{port}", kafka={"log_level": 0}, timeout_s=0.3)
    with pytest.raises(IdLogUnavailableError):
        log.read()
    with pytest.raises(IdLogUnavailableError, match="was not written"):
        log.append([KnownId(1, "a.Record", "00", "us")])


def record(key: bytes | None, value: bytes | None) -> Message:
    return Message(topic="schema-ids", partition=0, offset=4, key=key, value=value)


@given(st.integers(0, 2**31 - 1), st.text(max_size=20), st.text(max_size=20))
def test_an_id_is_read_as_it_was_written(schema_id: int, name: str, fingerprint: str) -> None:
    value = json.dumps({"record": name, "fingerprint": fingerprint}).encode()
    known = SchemaIdLog("nobody:1")._known_of(record(b"%d" % schema_id, value))
    assert known is not None
    assert (known.schema_id, known.record, known.fingerprint) == (schema_id, name, fingerprint)
    assert known.source == "the list in topic schema-ids (offset 4)"


@given(st.binary(max_size=40) | st.none(), st.binary(max_size=40) | st.none())
def test_a1_no_bytes_of_a_stranger_are_an_id_or_an_error(
    key: bytes | None, value: bytes | None
) -> None:
    assert SchemaIdLog("nobody:1")._known_of(record(key, value)) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b'{"record": "R", "fingerprint": "f"}'),
        (b"", b'{"record": "R", "fingerprint": "f"}'),
        (b"1.5", b'{"record": "R", "fingerprint": "f"}'),
        (b"9" * 10_000, b'{"record": "R", "fingerprint": "f"}'),
        (b"1", None),
        (b"1", b""),
        (b"1", b"[]"),
        (b"1", b"null"),
        (b"1", b'"record"'),
        (b"1", b'{"record": "R"}'),
        (b"1", b"\xff"),
        # A library that reads it level by level has no more room for its own calls.
        (b"1", b"[" * 100_000),
        (b"1", b'{"record":' * 100_000),
    ],
)
def test_a1_what_says_nothing_of_an_id_is_passed_over(
    key: bytes | None, value: bytes | None
) -> None:
    assert SchemaIdLog("nobody:1")._known_of(record(key, value)) is None
