"""A file gives back the ids that were written into it, or is refused as a damaged one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import SECTION_COMMANDS, subject, subjects
from serdes.avro.schema_files import current
from serdes.registry.id_files import PINS_FILE, known_in, read_ids, write_ids
from serdes.registry.ids import SchemaIds, counted_ids
from serdes.registry.known_ids import KnownId

CONFIRM = "io.seatstream.commands.ConfirmReservation"
TICK = "io.seatstream.commands.Tick"
TICK_SUBJECT = subject(SECTION_COMMANDS, TICK)


def changed(path: Path, change: Any) -> None:
    entries = json.loads(path.read_text(encoding="utf-8"))
    change(entries)
    path.write_text(json.dumps(entries), encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file with all our ids."""
    path = tmp_path / "data" / "schema-ids.json"
    write_ids(path, counted_ids(first=7))
    return path


def test_a_file_gives_back_what_was_written_and_leaves_nothing_beside_it(path: Path) -> None:
    assert read_ids(path) == counted_ids(first=7).id_by_subject
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    for one in known_in(path):
        assert one == KnownId(
            one.schema_id, one.record, current().fingerprint(one.record), str(path)
        )


def test_s2_ids_of_former_versions_stay_in_the_file(path: Path) -> None:
    former = KnownId(9_000, CONFIRM, "0" * 64, "a former version")
    write_ids(path, counted_ids(), [former, *counted_ids().known()])
    assert read_ids(path) == counted_ids().id_by_subject
    known = {one.schema_id: one for one in known_in(path)}
    assert known[9_000].fingerprint == former.fingerprint
    assert len(known) == len(subjects()) + 1


DAMAGES = [
    *("", "{", "[]", "7", "null", '{"a": 1}', "[" * 100_000, "\udcff"),
    '{"a": {"id": 1e999, "digest": ""}}',
    '{"a": {"id": "x", "digest": ""}}',
    '{"a": {"id": 1.5, "digest": ""}}',
]


@pytest.mark.parametrize("text", ["{}", *DAMAGES])
def test_a_damaged_file_of_ids_is_not_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ids.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError):
        read_ids(path)


@pytest.mark.parametrize("text", [*DAMAGES, '{"others": [{}]}', '{"others": 7}'])
def test_a_damaged_file_is_not_taken_for_one_that_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ids.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError):
        known_in(path)


@pytest.mark.parametrize("number", ["1e999", "1.5", '"7"', "true", "null", "-7", "4294967296"])
def test_what_no_header_can_carry_is_no_id_of_a_file(path: Path, number: str) -> None:
    changed(path, lambda entries: entries[TICK_SUBJECT].update(id=json.loads(number)))
    with pytest.raises(ValueError):
        read_ids(path)
    with pytest.raises(ValueError):
        known_in(path)


@given(cut=st.integers(0, 400))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory: Any, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "ids.json"
    write_ids(path, counted_ids())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError):
        known_in(path)


def test_a_file_that_is_not_there_says_nothing_and_has_no_ids(tmp_path: Path) -> None:
    assert known_in(tmp_path / "none.json") == []
    with pytest.raises(FileNotFoundError):
        read_ids(tmp_path / "none.json")


def test_a_file_that_cannot_be_read_is_not_taken_for_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        known_in(tmp_path)


def test_ids_of_another_version_of_a_schema_are_not_used(path: Path) -> None:
    changed(path, lambda entries: entries[TICK_SUBJECT].update(digest="0" * 64))
    with pytest.raises(ValueError, match=r"another version of .*Tick"):
        read_ids(path)
    # They still say which schema had the id.
    assert TICK in {one.record for one in known_in(path)}


def test_a_file_that_lacks_a_schema_of_ours_is_not_used(path: Path) -> None:
    changed(path, lambda entries: entries.pop(TICK_SUBJECT))
    with pytest.raises(ValueError, match=f"has no id of {TICK_SUBJECT}"):
        read_ids(path)


def test_a_file_of_a_former_version_is_told_by_the_digest_of_the_text(path: Path) -> None:
    def make_old(entries: Any) -> None:
        for entry in entries.values():
            del entry["fingerprint"]
        entries[TICK_SUBJECT]["digest"] = "0" * 64

    changed(path, make_old)
    for one in known_in(path):
        expected = "" if one.record == TICK else current().fingerprint(one.record)
        assert one.fingerprint == expected


def test_a_write_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    path.with_name(path.name + ".new").mkdir()
    with pytest.raises(IsADirectoryError):
        write_ids(path, SchemaIds(counted_ids(first=900).id_by_subject))
    assert path.read_bytes() == before


def test_the_pins_of_the_repository_are_of_the_current_schemas() -> None:
    assert read_ids(PINS_FILE).keys() == subjects().keys()
