"""A registry says what it has and what it lacks; everything else that it says is no answer.

A registry of our own over HTTP plays the faults; one test asks the real one.
"""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from support.records.registry_fake import FakeRegistry, fake_registry, fill

from schemas.topics import SECTION_COMMANDS, subject, subjects
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.registering import differences, register
from serdes.avro.schema_files import current
from serdes.decoding import FOREIGN_SUBJECT, Decoded, TopicDecoder, Undecodable, UnknownSchema
from serdes.registry.client import (
    NotRegisteredError,
    Registry,
    RegistryRefusedError,
    RegistryUnavailableError,
    check_has,
    fetch_ids,
    quoted,
)
from serdes.registry.ids import RegisteredSchema, SchemaIds, counted_ids
from serdes.registry.known_ids import ContradictoryIdsError, KnownId
from serdes.wire import header_of

TICK = "io.seatstream.commands.Tick"
TICK_SUBJECT = subject(SECTION_COMMANDS, TICK)
ENUM_WITH_TWO_ALIKE = '{"type":"enum","name":"E","namespace":"x","symbols":["a","a"]}'


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry(first_id=40) as registry:
        yield registry


def filled(fake: FakeRegistry) -> Registry:
    fill(fake)
    return Registry(fake.url, timeout_s=5)


@pytest.mark.parametrize("place", ["u:geheim@127.0.0.1:1", "u:geheim@there", "geheim@127.0.0.1:1"])
def test_s3_16_no_message_shows_a_password_of_an_address(place: str) -> None:
    registry = Registry(f"http://{place}")
    with pytest.raises(RegistryUnavailableError, match="user or a password") as caught:
        registry.call("GET", "subjects")
    assert "geheim" not in str(caught.value) + registry.url
    with pytest.raises(RegistryUnavailableError) as refused:
        Registry("http://127.0.0.1:1/?token=geheim", timeout_s=0.1).call("GET", "subjects")
    assert "geheim" not in str(refused.value)


def test_ids_are_those_of_our_exact_texts(fake: FakeRegistry) -> None:
    fake.add("a-subject-of-others", '"string"')
    registry = filled(fake)
    ids = fetch_ids(registry)
    assert ids.id_by_subject.keys() == subjects().keys()
    for name, schema_id in ids.id_by_subject.items():
        assert fake.texts[schema_id] == current().text(subjects()[name])
    assert ids.source == f"registry {fake.url}"


def test_asking_for_ids_registers_nothing(fake: FakeRegistry) -> None:
    with pytest.raises(NotRegisteredError, match="section-commands-"):
        fetch_ids(Registry(fake.url))
    assert fake.versions == {}
    assert {request.split()[0] for request in fake.requests} == {"GET", "POST"}
    assert not any(
        request.startswith("POST") and request.endswith("/versions") for request in fake.requests
    )


@pytest.mark.parametrize(
    "answer",
    [
        (404, b"<html>no such page"),
        (404, b"{}"),
        (500, b"oops"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"id": "x"}'),
        # A real registry's word for a path that it does not have: a wrong address, or an old one.
        (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
        (200, b""),
        # A library that reads it level by level has no more room for its own calls.
        (200, b"[" * 100_000),
        (404, b"[" * 100_000),
    ],
)
def test_an_answer_that_is_none_counts_as_down(
    fake: FakeRegistry, answer: tuple[int, bytes]
) -> None:
    fake.answers = answer
    with pytest.raises(RegistryUnavailableError):
        fetch_ids(Registry(fake.url))
    with pytest.raises(RegistryUnavailableError):
        Registry(fake.url).schema_of(1)


@pytest.mark.parametrize(
    "answer", ["1e999", "NaN", "1.5", "true", '"7"', "null", "0", "-7", "2147483648", "[1]"]
)
def test_what_no_header_can_carry_is_no_id(fake: FakeRegistry, answer: str) -> None:
    fake.answers = (200, b'{"id": %s}' % answer.encode())
    with pytest.raises(RegistryUnavailableError, match="an answer without an id"):
        Registry(fake.url).id_of(TICK_SUBJECT, "{}")


def test_a_registry_that_hangs_counts_as_down_after_its_time(fake: FakeRegistry) -> None:
    fake.hangs = True
    with pytest.raises(RegistryUnavailableError, match="timed out"):
        Registry(fake.url, timeout_s=0.2).schema_of(1)


def test_a_port_where_nobody_listens_counts_as_down() -> None:
    with fake_registry() as gone:
        pass
    with pytest.raises(RegistryUnavailableError):
        Registry(gone.url).schema_of(1)


CUT = (
    b"",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
    b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id": 7}',
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n{",
)


@pytest.mark.parametrize("cut", CUT)
def test_a_dropped_connection_is_asked_again_whatever_was_asked(
    fake: FakeRegistry, cut: bytes
) -> None:
    fake.drops = dict.fromkeys((1, 3, 5, 7), cut)
    registry = Registry(fake.url, timeout_s=60)
    asked = {"schema": current().text(TICK)}
    given = registry.call("POST", f"subjects/{TICK_SUBJECT}/versions", asked)
    assert given == {"id": 40}
    assert registry.id_of(TICK_SUBJECT, asked["schema"]) == 40
    assert registry.schema_of(40) == RegisteredSchema((TICK_SUBJECT,), asked["schema"])
    assert len(fake.requests) == 8


@pytest.mark.parametrize("cut", CUT)
def test_a_registry_that_drops_every_connection_counts_as_down_after_its_time(
    fake: FakeRegistry, cut: bytes
) -> None:
    fake.drops = dict.fromkeys(range(1, 1_000), cut)
    with pytest.raises(RegistryUnavailableError):
        Registry(fake.url, timeout_s=0.2).schema_of(1)
    assert fake.requests


def test_b06_an_unknown_id_is_asked_for_and_then_decoded(fake: FakeRegistry) -> None:
    registry = filled(fake)
    schema_id = fetch_ids(registry).id_by_subject[TICK_SUBJECT]
    decoder = TopicDecoder(SECTION_COMMANDS, counted_ids(first=1000))
    value = header_of(schema_id) + b"\x02"
    assert decoder.decode(value) == UnknownSchema(schema_id)
    found = registry.schema_of(schema_id)
    assert found is not None
    decoder.learn(schema_id, found)
    assert decoder.decode(value) == Decoded(TICK, (1,))


def test_b06_an_id_that_the_registry_does_not_know_stays_unknown(fake: FakeRegistry) -> None:
    assert filled(fake).schema_of(7) is None


def test_b07_an_id_of_a_subject_of_others_is_foreign(fake: FakeRegistry) -> None:
    registry = filled(fake)
    foreign = fake.add("a-subject-of-others", '"string"')
    decoder = TopicDecoder(SECTION_COMMANDS, fetch_ids(registry))
    found = registry.schema_of(foreign)
    assert found is not None
    decoder.learn(foreign, found)
    verdict = decoder.decode(header_of(foreign) + b"\x02")
    assert isinstance(verdict, Undecodable)
    assert verdict.reason == FOREIGN_SUBJECT


@pytest.mark.parametrize("body", [b"", b'{"error_code"'])
@pytest.mark.parametrize("status", [b"404 Not Found", b"409 Conflict", b"503 Busy"])
def test_an_error_whose_text_does_not_end_counts_as_down(status: bytes, body: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        registry = Registry(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.2)
        ended = Event()

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 99\r\n\r\n" % status + body)
                ended.wait(60)

        with ThreadPoolExecutor(max_workers=1) as pool:
            served = pool.submit(serve)
            try:
                with pytest.raises(RegistryUnavailableError, match="timed out"):
                    registry.schema_of(1)
            finally:
                ended.set()
            served.result(timeout=60)


def answered(fake: FakeRegistry, schema: Any, versions: Any) -> Registry:
    """Return a registry that answers the two questions about an id with these values."""
    answers = {("schemas", "ids", "1"): schema, ("schemas", "ids", "1", "versions"): versions}

    def answer(method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        return 200, answers[tuple(parts)]

    fake.answer = answer  # type: ignore[method-assign]
    return Registry(fake.url)


@pytest.mark.parametrize(
    ("schema", "versions"),
    [
        ({"schema": {"type": "record"}}, [{"subject": "s"}]),
        ({"schema": None}, [{"subject": "s"}]),
        ({"schema": "{}"}, [{"subject": 7}]),
        ({"schema": "{}"}, [{"subject": None}]),
        ({"schema": "{}"}, ["s"]),
        ({"schema": "{}"}, {"subject": "s"}),
        ({"schema": "{}"}, 7),
        ([], []),
        ({}, []),
    ],
)
def test_what_an_id_stands_for_is_a_text_under_subjects_or_no_answer(
    fake: FakeRegistry, schema: Any, versions: Any
) -> None:
    # A value of another type, taken for a text, would make dead letters of good commands.
    with pytest.raises(RegistryUnavailableError, match="an answer of another form"):
        answered(fake, schema, versions).schema_of(1)


def test_a_subject_is_named_once_however_many_versions_have_the_text(fake: FakeRegistry) -> None:
    versions = [{"subject": "b", "version": 1}, {"subject": "a"}, {"subject": "b", "version": 2}]
    found = answered(fake, {"schema": "{}"}, versions).schema_of(1)
    assert found == RegisteredSchema(("b", "a"), "{}")


@pytest.mark.parametrize("text", ["{", "7", "null", "{}", ENUM_WITH_TWO_ALIKE])
def test_an_id_that_stands_for_no_schema_at_all_is_an_answer_of_another_form(
    fake: FakeRegistry, text: str
) -> None:
    registry = filled(fake)
    for schema_id in fake.texts:
        fake.texts[schema_id] = text
    answer = fake.answer

    def by_id(method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        return (200, {"id": 40}) if method == "POST" else answer(method, parts, body)

    fake.answer = by_id  # type: ignore[method-assign]
    with pytest.raises(RegistryUnavailableError, match="an answer of another form"):
        fetch_ids(registry)


def test_a_subject_is_one_part_of_a_path_whatever_it_is_called() -> None:
    assert quoted("a/b c-?x") == "a%2Fb%20c-%3Fx"


def test_a_listed_id_that_the_registry_gives_to_another_schema_ends_the_start(
    fake: FakeRegistry,
) -> None:
    registry = filled(fake)
    listed = counted_ids(first=40).known()
    check_has(registry, listed, sure=())
    fake.texts[40], fake.texts[41] = fake.texts[41], fake.texts[40]
    with pytest.raises(ContradictoryIdsError):
        check_has(registry, listed, sure=())
    # What was asked for already is not asked again, and ids of others are their own affair.
    fake.requests.clear()
    foreign = KnownId(9_999, "io.other.Record", "", "the list")
    check_has(registry, [*listed, foreign], sure={one.schema_id for one in listed})
    assert fake.requests == []
    with pytest.raises(ContradictoryIdsError, match="has no such id"):
        check_has(registry, [KnownId(9_999, TICK, "", "the list")], sure=())


@pytest.mark.kafka
def test_the_real_registry_gives_ids_and_schemas(registry_url: str) -> None:
    registry = PatientRegistry(registry_url, PATIENCE_S)
    done = register(registry)
    assert all(each.schema_id is not None for each in done), done
    ids = fetch_ids(registry)
    assert ids == SchemaIds({each.subject: each.schema_id or 0 for each in done})
    assert {each.state for each in register(registry)} == {"registered"}
    assert differences(registry) == []
    tick_id = ids.id_by_subject[TICK_SUBJECT]
    found = registry.schema_of(tick_id)
    assert found is not None
    assert TICK_SUBJECT in found.subjects
    assert registry.schema_of(2**31 - 1) is None
    decoder = TopicDecoder(SECTION_COMMANDS, counted_ids(first=10_000))
    decoder.learn(tick_id, found)
    assert decoder.decode(header_of(tick_id) + b"\x02") == Decoded(TICK, (1,))


@pytest.mark.kafka
def test_the_real_registry_refuses_what_breaks_readers(registry_url: str) -> None:
    registry = PatientRegistry(registry_url, PATIENCE_S)
    register(registry)
    broken = current().text(TICK).replace("timerMs", "clockMs")
    path = f"subjects/{TICK_SUBJECT}/versions"
    with pytest.raises(Exception, match="409"):
        registry.call("POST", path, {"schema": broken})


def test_a_schema_is_registered_that_says_the_same_of_records_in_another_text(
    fake: FakeRegistry,
) -> None:
    subject = TICK_SUBJECT
    own = json.loads(current().text(TICK))
    older = own | {"doc": "In other words."}
    fake.add(subject, json.dumps(older, sort_keys=True))
    fake.add(
        subject,
        json.dumps(
            own | {"fields": [*own["fields"], {**own["fields"][0], "name": "n", "default": 0}]}
        ),
    )
    registry = Registry(fake.url)
    assert registry.id_of(subject, current().text(TICK)) == fake.versions[subject][0]
    assert [one.number for one in registry.versions_of(subject)] == [1, 2]
    assert registry.versions_of("nobody") == []


@pytest.mark.parametrize("answer", [b'"x"', b"[1]", b'{"a": 1}', b"7"])
def test_versions_in_another_form_are_no_answer(fake: FakeRegistry, answer: bytes) -> None:
    fake.answers = 200, answer
    with pytest.raises(RegistryUnavailableError, match=r"another form|without an id"):
        Registry(fake.url).versions_of("any")


@pytest.mark.parametrize("address", ["registry:8081", "", "file:///etc", "ftp://127.0.0.1:1"])
def test_what_is_no_address_of_a_registry_is_refused_unasked(address: str) -> None:
    with pytest.raises(RegistryRefusedError, match="http://host:port"):
        Registry(address).versions_of("any")
