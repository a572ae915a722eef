"""Ids come from the registry, else from a file that fits.

S2: an id that anybody knew as another schema ends the start, and nothing is overwritten.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support.records.registry_fake import FakeRegistry, fake_registry, fill

from schemas.topics import SECTION_COMMANDS, subject, subjects
from scripts.register_schemas import main
from scripts.traffic.sending import NoBroker, schema_ids
from serdes.avro.schema_files import current
from serdes.decoding import TopicDecoder
from serdes.registry.client import NotRegisteredError, Registry, fetch_ids
from serdes.registry.id_files import PINS_FILE, known_in, read_ids
from serdes.registry.ids import SchemaIds
from serdes.registry.known_ids import ContradictoryIdsError, KnownId, SchemaIdsError
from serdes.schema_source import Answer, NoSchemaIdsError, SchemaSource
from serdes.wire import header_of

CONFIRM = "io.seatstream.commands.ConfirmReservation"
RELEASE = "io.seatstream.commands.ReleaseReservation"
CONFIRM_SUBJECT = subject(SECTION_COMMANDS, CONFIRM)
RELEASE_SUBJECT = subject(SECTION_COMMANDS, RELEASE)
FIRST = 400


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry(first_id=FIRST) as registry:
        fill(registry)
        yield registry


class ListedIds:
    """The list beside the log, in memory; the first that is said of an id stands."""

    def __init__(self, known: Iterable[KnownId] = ()) -> None:
        self.records = list(known)

    def read(self) -> list[KnownId]:
        first: dict[int, KnownId] = {}
        for one in self.records:
            first.setdefault(one.schema_id, one)
        return list(first.values())

    def append(self, known: Iterable[KnownId]) -> None:
        self.records += known


def exchange(fake: FakeRegistry) -> None:
    """Give the ids of two records of one shape to each other, as another backup does."""
    confirm, release = fake.versions[CONFIRM_SUBJECT], fake.versions[RELEASE_SUBJECT]
    fake.versions[CONFIRM_SUBJECT], fake.versions[RELEASE_SUBJECT] = release, confirm
    one, other = confirm[0], release[0]
    fake.texts[one], fake.texts[other] = fake.texts[other], fake.texts[one]


def started(fake: FakeRegistry, cache: Path, log: ListedIds | None = None) -> SchemaSource:
    source = SchemaSource(fake.url, cache, log, appends=True)
    source.ids()
    source.confirm()
    return source


def test_s2_an_id_that_the_last_start_knew_as_another_ends_the_start(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    cache = tmp_path / "schema-ids.json"
    started(fake, cache)
    before = cache.read_bytes()
    exchange(fake)
    with pytest.raises(ContradictoryIdsError, match=r"Bring back the registry's own data") as told:
        started(fake, cache)
    assert CONFIRM in str(told.value)
    assert RELEASE in str(told.value)
    assert str(cache) in str(told.value)
    assert fake.url in str(told.value)
    assert cache.read_bytes() == before
    exchange(fake)
    started(fake, cache)


def test_s2_a_cache_of_the_version_before_tells_an_exchange_too(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    cache = tmp_path / "schema-ids.json"
    started(fake, cache)
    entries = json.loads(cache.read_text(encoding="utf-8"))
    for entry in entries.values():
        del entry["fingerprint"]
    cache.write_text(json.dumps(entries), encoding="utf-8")
    exchange(fake)
    with pytest.raises(ContradictoryIdsError):
        started(fake, cache)
    assert json.loads(cache.read_text(encoding="utf-8")) == entries


def test_s2_an_empty_disk_is_told_by_the_list_beside_the_log(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    log = ListedIds()
    started(fake, tmp_path / "first.json", log)
    assert {one.schema_id for one in log.read()} == set(range(FIRST, FIRST + len(subjects())))
    exchange(fake)
    cache = tmp_path / "second.json"
    with pytest.raises(ContradictoryIdsError):
        started(fake, cache, log)
    # What was not confirmed is not remembered: it would refuse the right ids later.
    assert not cache.exists()
    assert len(log.records) == len(subjects())


def test_s2_the_second_of_two_workers_with_different_registries_is_refused(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    class Raced(ListedIds):
        def append(self, known: Iterable[KnownId]) -> None:
            known = list(known)
            # Another worker was first, by a registry where the two are exchanged.
            names = {CONFIRM: RELEASE, RELEASE: CONFIRM}
            self.records = [
                KnownId(one.schema_id, names.get(one.record, one.record), "", "another worker")
                for one in known
            ]
            super().append(known)

    with pytest.raises(ContradictoryIdsError, match="another worker"):
        started(fake, tmp_path / "cache.json", Raced())
    assert not (tmp_path / "cache.json").exists()


def test_s2_the_pins_are_believed_against_a_registry() -> None:
    with fake_registry() as fake:
        fill(fake)
        assert fetch_ids(Registry(fake.url)) == SchemaIds(read_ids(PINS_FILE))
        exchange(fake)
        with pytest.raises(ContradictoryIdsError, match="pinned_ids"):
            SchemaSource(fake.url, Path()).ids()
        with pytest.raises(NoBroker, match="pinned_ids"):
            schema_ids(fake.url)


def test_s2_registering_says_that_the_registry_is_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with fake_registry() as fake:
        fill(fake)
        exchange(fake)
        assert main(["register", "--registry", fake.url]) == 1
        assert CONFIRM in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', '{"a": {}}', '{"others": [{}]}'])
def test_s2_a_damaged_cache_is_not_overwritten(
    fake: FakeRegistry, tmp_path: Path, damage: str
) -> None:
    cache = tmp_path / "schema-ids.json"
    cache.write_text(damage, encoding="utf-8")
    with pytest.raises(SchemaIdsError, match="not overwritten"):
        started(fake, cache)
    assert cache.read_text(encoding="utf-8") == damage


def test_s2_a_registry_that_answers_two_ways_is_not_believed(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    # By text it still gives the ids of before, by id the exchanged texts.
    texts = dict(fake.texts)
    answer = fake.answer

    def two_ways(method: str, parts: list[str], body: dict[str, object]) -> tuple[int, object]:
        if method == "GET" and parts[:2] == ["schemas", "ids"] and len(parts) == 3:
            exchange(fake)
            told = answer(method, parts, body)
            exchange(fake)
            return told
        return answer(method, parts, body)

    fake.answer = two_ways  # type: ignore[method-assign]
    with pytest.raises(ContradictoryIdsError, match=r"schemas/ids/"):
        started(fake, tmp_path / "cache.json")
    assert fake.texts == texts


def test_s2_an_id_for_two_schemas_is_refused(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.versions[RELEASE_SUBJECT] = list(fake.versions[CONFIRM_SUBJECT])
    number = fake.versions[CONFIRM_SUBJECT][0]
    answer = fake.answer

    def lax(method: str, parts: list[str], body: dict[str, object]) -> tuple[int, object]:
        if (method, parts) == ("POST", ["subjects", RELEASE_SUBJECT]):
            return 200, {"id": number}
        return answer(method, parts, body)

    fake.answer = lax  # type: ignore[method-assign]
    with pytest.raises(ContradictoryIdsError):
        started(fake, tmp_path / "cache.json")


def test_s2_a_schema_with_two_ids_is_legal(fake: FakeRegistry, tmp_path: Path) -> None:
    source = started(fake, tmp_path / "cache.json", log := ListedIds())
    second = FIRST + 500
    fake.texts[second] = current().text(CONFIRM)
    fake.versions[CONFIRM_SUBJECT].append(second)
    decoder = TopicDecoder(SECTION_COMMANDS, source.ids())
    assert source.ask(second, decoder) is Answer.KNOWN
    assert second in {one.schema_id for one in log.read()}
    assert second in {one.schema_id for one in known_in(tmp_path / "cache.json")}


def test_s2_an_id_that_was_learned_is_remembered_and_compared_for_ever(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    cache, log = tmp_path / "cache.json", ListedIds()
    source = started(fake, cache, log)
    learned = fake.add(
        CONFIRM_SUBJECT, current().text(CONFIRM).replace('"doc":"', '"doc":"An ', 1)
    )
    assert source.learn(TopicDecoder(SECTION_COMMANDS, source.ids()), learned)
    fake.texts[learned] = current().text(RELEASE)
    again = started(fake, cache)
    decoder = TopicDecoder(SECTION_COMMANDS, again.ids())
    told: list[Exception] = []
    again.told = told.append
    with pytest.raises(ContradictoryIdsError, match=RELEASE):
        again.ask(learned, decoder)
    assert len(told) == 1
    # By the list it is found before the first record is read.
    with pytest.raises(ContradictoryIdsError, match=RELEASE):
        started(fake, tmp_path / "other.json", log)


def test_s2_ids_of_others_in_a_shared_registry_contradict_no_pin(tmp_path: Path) -> None:
    with fake_registry(first_id=FIRST) as fake:
        fill(fake)
        source = started(fake, tmp_path / "cache.json")
        # The pins give it to a schema of ours, which has another id here.
        pinned = read_ids(PINS_FILE)[CONFIRM_SUBJECT]
        fake.texts[pinned] = '"string"'
        fake.versions["a-subject-of-others"] = [pinned]
        decoder = TopicDecoder(SECTION_COMMANDS, source.ids())
        assert source.ask(pinned, decoder) is Answer.KNOWN


def test_s2_pins_in_the_place_of_a_registry_are_not_listed(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    fake.answers = (503, b"down")
    log = ListedIds()
    assert started(fake, tmp_path / "cache.json", log).ids().source.startswith("pins")
    assert log.records == []
    # Without any registry they are what everybody goes by.
    alone = SchemaSource("", Path(), log, appends=True)
    alone.confirm()
    assert len(log.records) == len(subjects())


def lose(fake: FakeRegistry) -> None:
    """Take everything from a registry, as a disk does that is lost."""
    fake.texts.clear()
    fake.versions.clear()


@pytest.mark.parametrize("first_id", [1, FIRST + 100])
def test_s2_a_registry_that_was_filled_anew_with_other_ids_ends_the_start(
    fake: FakeRegistry, tmp_path: Path, first_id: int
) -> None:
    log = ListedIds()
    started(fake, tmp_path / "first.json", log)
    before = log.read()
    lose(fake)
    with pytest.raises(NotRegisteredError, match="has lost its data"):
        started(fake, tmp_path / "second.json", log)
    # Nothing contradicts: each id has one schema, and each schema two ids.
    fake.first_id = first_id
    fill(fake)
    for cache in ("first.json", "second.json"):
        with pytest.raises(ContradictoryIdsError, match=r"has no such id.*register --listed"):
            started(fake, tmp_path / cache, log)
    assert log.read() == before
    assert not (tmp_path / "second.json").exists()


def test_s2_an_id_of_the_log_that_a_running_process_finds_forgotten_is_no_unknown_one(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    source = started(fake, tmp_path / "cache.json", ListedIds())
    lose(fake)
    decoder = TopicDecoder(SECTION_COMMANDS, SchemaIds({}))
    assert source.ask(FIRST + 500, decoder) is Answer.UNKNOWN
    told: list[Exception] = []
    source.told = told.append
    with pytest.raises(ContradictoryIdsError, match="has no such id"):
        source.ask(FIRST, decoder)
    assert len(told) == 1


def test_s2_pins_that_are_not_the_ids_of_the_log_replace_no_registry(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    log = ListedIds()
    started(fake, tmp_path / "first.json", log)
    fake.answers = (503, b"down")
    for url in (fake.url, ""):
        source = SchemaSource(url, tmp_path / "second.json", log, appends=True)
        assert source.ids().source.startswith("pins")
        with pytest.raises(NoSchemaIdsError, match="is not that of the log"):
            source.confirm()
    # The last start with the registry knows better.
    assert started(fake, tmp_path / "first.json", log).ids().source.startswith("cache")
    assert len(log.records) == len(subjects())


def test_b2_a_reader_is_held_up_once_by_a_registry_that_does_not_answer(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    source = started(fake, tmp_path / "cache.json")
    decoder = TopicDecoder(SECTION_COMMANDS, source.ids())
    fake.answers = (503, b"down")
    fake.requests.clear()
    assert [source.learn(decoder, number) for number in range(7_000, 7_050)] == [False] * 50
    assert len(fake.requests) == 1
    # An id that the registry does not have is an answer: nobody rests after it.
    fake.answers = None
    other = started(fake, tmp_path / "cache.json")
    fake.requests.clear()
    assert [other.learn(decoder, number) for number in (7_000, 7_001)] == [False] * 2
    assert len({request.split("/")[3] for request in fake.requests}) == 2


def test_f85_a_registry_that_is_down_is_replaced_by_the_last_answer(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    cache = tmp_path / "data" / "schema_ids.json"
    first = SchemaSource(fake.url, cache)
    known = first.ids()
    first.confirm()
    fake.answers = (503, b"down")
    again = SchemaSource(fake.url, cache).ids()
    assert again.id_by_subject == known.id_by_subject
    assert again.source == f"cache {cache}"


def test_without_a_cache_the_pins_serve(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.answers = (503, b"down")
    ids = SchemaSource(fake.url, tmp_path / "none.json").ids()
    assert ids == SchemaIds(read_ids(PINS_FILE))
    assert ids.source == f"pins {PINS_FILE}"


def test_without_a_registry_an_unknown_id_has_no_meaning_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    source = SchemaSource("", tmp_path / "cache.json")
    source.confirm()
    decoder = TopicDecoder(SECTION_COMMANDS, source.ids())
    assert source.ask(FIRST + 500, decoder) is Answer.UNKNOWN
    assert list(tmp_path.iterdir()) == []


def test_what_was_confirmed_is_not_asked_for_again(fake: FakeRegistry, tmp_path: Path) -> None:
    source = started(fake, tmp_path / "cache.json")
    fake.requests.clear()
    source.confirm()
    assert source.ids() is source.ids()
    assert fake.requests == []


def test_while_the_registry_is_down_an_id_is_neither_known_nor_unknown(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    source = started(fake, tmp_path / "cache.json")
    decoder = TopicDecoder(SECTION_COMMANDS, source.ids())
    for answers in ((503, b"down"), (401, b"who are you"), (404, b"<html>"), (200, b"[]")):
        fake.answers = answers
        assert source.ask(FIRST + 500, decoder) is Answer.NONE


def test_a_cache_that_cannot_be_written_ends_the_start_with_its_name(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    cache = tmp_path / "cache.json"
    # In the way of the file that is renamed at last; a full disk has no room for it either.
    (tmp_path / "cache.json.new").mkdir()
    with pytest.raises(SchemaIdsError, match=r"cache\.json cannot be written"):
        started(fake, cache)


def test_a_cache_that_cannot_be_written_later_stops_no_reader(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    cache = tmp_path / "cache.json"
    source = started(fake, cache)
    decoder = TopicDecoder(SECTION_COMMANDS, source.ids())

    def another(words: str) -> int:
        text = current().text(CONFIRM).replace('"doc":"', f'"doc":"{words} ', 1)
        return fake.add(CONFIRM_SUBJECT, text)

    (tmp_path / "cache.json.new").mkdir()
    first = another("One.")
    assert source.ask(first, decoder) is Answer.KNOWN
    assert header_of(first) in decoder.by_header
    (tmp_path / "cache.json.new").rmdir()
    # There is room again: with the next id the one before is remembered too.
    second = another("Two.")
    assert source.ask(second, decoder) is Answer.KNOWN
    assert {first, second} <= {one.schema_id for one in known_in(cache)}
