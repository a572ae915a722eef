"""R20: which record killed the worker, remembered over its deaths."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.transactions.crash_journal import DEATHS_LIMIT, Caution, CrashJournal

PLACE = "commands-3"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "journal.json"


def test_a_death_is_remembered_by_the_next_process(path: Path) -> None:
    CrashJournal(path).note_death(PLACE, 10, 19)
    journal = CrashJournal(path)
    assert journal.caution(PLACE) == Caution(10, 19, 1)
    assert journal.caution("commands-4") is None
    assert not journal.is_quarantined(PLACE, 10)


def test_the_third_death_on_one_record_quarantines_it(path: Path) -> None:
    CrashJournal(path).note_death(PLACE, 10, 19)
    CrashJournal(path).note_passed(PLACE, 13)
    CrashJournal(path).note_death(PLACE, 13, 13)
    CrashJournal(path).note_death(PLACE, 13, 13)
    journal = CrashJournal(path)
    assert journal.deaths(PLACE) == DEATHS_LIMIT
    assert journal.is_quarantined(PLACE, 13)
    assert not journal.is_quarantined(PLACE, 14)


def test_what_is_left_of_a_stretch_starts_with_one_death(path: Path) -> None:
    journal = CrashJournal(path)
    for _ in range(3):
        journal.note_death(PLACE, 10, 19)
    journal.note_passed(PLACE, 11)
    assert journal.caution(PLACE) == Caution(11, 19, 1)


def test_a_stretch_that_was_passed_is_forgotten(path: Path) -> None:
    journal = CrashJournal(path)
    journal.note_death(PLACE, 10, 19)
    journal.note_passed(PLACE, 10)
    assert journal.caution(PLACE) is not None
    journal.note_passed(PLACE, 20)
    assert journal.caution(PLACE) is None
    assert CrashJournal(path).caution(PLACE) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"first_offset": 1}}', "\0"])
def test_a_journal_cut_off_by_a_crash_is_an_empty_one(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    journal = CrashJournal(path)
    assert journal.caution("a") is None
    journal.note_death("a", 1, 2)
    assert CrashJournal(path).deaths("a") == 1


@given(poisons=st.sets(st.integers(0, 19), max_size=4), stretch=st.integers(1, 20))
def test_every_poisonous_record_is_found_and_no_other_one_is_set_aside(
    tmp_path_factory: pytest.TempPathFactory, poisons: set[int], stretch: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.json"
    committed, set_aside, deaths = 0, [], 0
    while committed < 20:
        # One process: it decides one record at a time where caution is due, else a stretch.
        journal = CrashJournal(path)
        alive = True
        while alive and committed < 20:
            caution = journal.caution(PLACE)
            count = 1 if caution is not None and committed <= caution.last_offset else stretch
            last = min(committed + count, 20) - 1
            if journal.is_quarantined(PLACE, committed):
                assert last == committed
                set_aside.append(committed)
            elif poisons & set(range(committed, last + 1)):
                journal.note_death(PLACE, committed, last)
                deaths += 1
                alive = False
                continue
            committed = last + 1
            journal.note_passed(PLACE, committed)
    assert set_aside == sorted(poisons)
    assert deaths <= DEATHS_LIMIT * len(poisons)


def test_s3_what_was_noted_of_another_log_is_forgotten_for_good(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    journal = CrashJournal(path)
    journal.note_death(PLACE, 10, 10)
    journal.note_death("other-0", 10, 10)
    journal.forget(PLACE)
    assert journal.caution(PLACE) is None
    again = CrashJournal(path)
    assert again.caution(PLACE) is None
    assert again.deaths("other-0") == 1
