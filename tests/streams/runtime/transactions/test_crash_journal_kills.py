"""Deaths without a word: which record is found, and that an innocent one never is."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.runtime.transactions.crash_journal import CrashJournal

PLACE = "commands-7"


class At(NamedTuple):
    """A record of which only the offset matters."""

    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class Life:
    """A worker that decides a log of `end` records over one directory, life after life.

    killers: offsets that kill whoever decides them.
    """

    def __init__(self, path: Path, end: int, killers: frozenset[int] = frozenset()) -> None:
        self.path = path / "crash-journal.json"
        self.path.unlink(missing_ok=True)
        self.path.with_name("deciding").unlink(missing_ok=True)
        self.end = end
        self.killers = killers
        self.committed = 0
        self.set_aside: list[int] = []
        self.alone: list[int] = []

    def run(self, batch: int, killed_at: int | None = None) -> bool:
        """Decide until the end or death; return whether it came to the end.

        killed_at: the how-manieth batch somebody kills the process in.
        """
        journal = CrashJournal(self.path)
        count = 0
        while self.committed < self.end:
            first, size = self.committed, batch
            caution = journal.caution(PLACE)
            if caution is not None and first <= caution.last_offset:
                size = min(size, caution.at_once)
            records = [At(offset) for offset in range(first, min(first + size, self.end))]
            aside = journal.is_quarantined(PLACE, first)
            if aside:
                records = records[:1]
                self.set_aside.append(first)
            count += 1
            deciding = journal.deciding(PLACE, records)
            dies = not aside and any(record.offset in self.killers for record in records)
            if dies or count == killed_at:
                self.alone.append(first if len(records) == 1 else -1)
                return False
            deciding.done()
            self.committed = records[-1].offset + 1
            journal.note_passed(PLACE, self.committed)
        return True


@pytest.mark.parametrize("batch", [1, 50, 1_000, 10_000])
def test_c5_a_record_that_kills_is_found_within_six_deaths(tmp_path: Path, batch: int) -> None:
    worker = Life(tmp_path, 20_000, frozenset({13_579}))
    deaths = 0
    while not worker.run(batch):
        deaths += 1
        assert deaths <= 6
    assert worker.set_aside == [13_579]


def test_c5_two_records_that_kill_are_both_found(tmp_path: Path) -> None:
    worker = Life(tmp_path, 5_000, frozenset({1_000, 1_001}))
    deaths = 0
    while not worker.run(2_000):
        deaths += 1
        assert deaths <= 12
    assert worker.set_aside == [1_000, 1_001]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 200)), max_size=20))
def test_c5_only_three_lives_that_end_at_one_record_alone_set_it_aside(
    tmp_path: Path, lives: list[tuple[int, int]]
) -> None:
    worker = Life(tmp_path, 3_000)
    for killed_at, batch in lives:
        worker.run(batch, killed_at)
    worker.run(100)
    for offset in worker.set_aside:
        assert worker.alone.count(offset) >= 3


def test_c5_a_process_that_ends_itself_meanwhile_accuses_no_record(tmp_path: Path) -> None:
    path = tmp_path / "crash-journal.json"
    journal = CrashJournal(path)
    journal.deciding(PLACE, [At(5)])
    journal.excuse()
    assert CrashJournal(path).caution(PLACE) is None


def test_c5_a_death_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "crash-journal.json"
    CrashJournal(path).deciding(PLACE, [At(5), At(6)])
    noted = CrashJournal(path).caution(PLACE)
    assert noted is not None
    assert (noted.first_offset, noted.last_offset, noted.kills) == (5, 6, 0)
    assert CrashJournal(path).caution(PLACE) == noted


def test_a_journal_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "crash-journal.json"
    path.write_text('{"commands-7": {"first_offset": 1, "last_offset": 9, "deaths": 2}}')
    known = CrashJournal(path).caution(PLACE)
    assert known is not None
    assert (known.deaths, known.at_once) == (2, 1)
