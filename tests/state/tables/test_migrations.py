"""Migrations are files with numbers; tables of other code are refused."""

from pathlib import Path

import pytest

from state.tables.migrations import WrongSchema, all_migrations, pending

OURS = all_migrations()


def test_what_is_applied_is_not_applied_again() -> None:
    assert pending(OURS, {}) == list(OURS)
    assert pending(OURS, {one.number: one.digest for one in OURS}) == []


def test_tables_of_newer_code_and_of_another_text_are_refused() -> None:
    applied = {one.number: one.digest for one in OURS}
    with pytest.raises(WrongSchema, match="changed by newer code"):
        pending(OURS, {**applied, len(OURS) + 1: "0"})
    with pytest.raises(WrongSchema, match="0001_purchases"):
        pending(OURS, {**applied, 1: "0"})


@pytest.mark.parametrize("names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_A.txt"]])
def test_files_that_leave_a_number_out_are_a_mistake_of_ours(
    names: list[str], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="is not the migration"):
        all_migrations(tmp_path)
