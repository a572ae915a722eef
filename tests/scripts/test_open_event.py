"""A dry run tells what a plan is and sends nothing; what does not fit has the code 2."""

import json
from pathlib import Path

import pytest
from support.records.plan_documents import around, content, row, seat, straight_row, zone
from support.records.plan_documents import plan as plan_document

from scripts.open_event import NOTES_SHOWN, main, tell_notes

PLAN = {"event": "Hall", "sections": [{"section": "A", "rows": 2, "seats": 3}]}


@pytest.fixture
def plan(tmp_path: Path) -> str:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(PLAN), encoding="utf-8")
    return str(file)


def test_a_dry_run_counts_sections_and_seats(
    plan: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([plan, "--event-id", "1", "--dry-run"]) == 0
    _, section, last = capsys.readouterr().out.splitlines()
    assert section.split() == ["A", "2", "6", "0", "0"]
    assert last == "Hall: 1 sections, 6 seats: fits"


def test_a_dry_run_tells_machines_the_same_and_its_code(
    plan: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([plan, "--event-id", "1", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["event_id"], told["sections"], told["seats"]) == (1, 1, 6)
    assert told["exit_code"] == 0


def test_a_plan_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "nowhere.json")
    assert main([file, "--event-id", "1", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 2
    assert file in told["error"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"prices": {"front": 45.0}}, "prices['front']"),
        ({"prices": {"front": "1,00"}}, "prices['front']"),
        ({"prices": {"front": -1}}, "prices['front']"),
        ({"prices": {"rear": 1}}, "prices['rear']"),
        ({"prices": {}}, "prices"),
        ({"currency": "EURO"}, "currency"),
    ],
)
def test_b58_prices_that_are_none_are_refused_with_their_place(
    change: dict[str, object], path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = {"section": "A", "rows": 2, "seats": 3, "category": "front"}
    hall = {"event": "Hall", "sections": [section], "currency": "EUR", "prices": {"front": 4_500}}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(hall), encoding="utf-8")
    assert main([str(file), "--event-id", "1", "--dry-run"]) == 0
    file.write_text(json.dumps(hall | change), encoding="utf-8")
    assert main([str(file), "--event-id", "1", "--dry-run"]) == 2
    assert f"{file}: {path}: " in capsys.readouterr().err


def test_an_id_below_zero_is_wrong_usage(plan: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([plan, "--event-id", "-1", "--dry-run"])
    assert ended.value.code == 2


@pytest.mark.parametrize(("more", "last"), [(0, "note: n"), (2, "note: and 2 more of them")])
def test_notes_beyond_a_page_are_counted(
    more: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_notes(["n"] * (NOTES_SHOWN + more))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:NOTES_SHOWN] == ["note: n"] * NOTES_SHOWN
    assert lines[-1].startswith(last)


def test_e2_a_dry_run_tells_what_was_taken_for_an_aisle_or_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = row("T", *(seat(f"t{n}", str(n), x, y) for n, (x, y) in enumerate(around(6))))
    file = tmp_path / "plan.json"
    hall = plan_document(zone("A", straight_row("A", "1", "xxx xxx"), table))
    file.write_bytes(content(hall))
    assert main([str(file), "--event-id", "1", "--dry-run"]) == 0
    output = capsys.readouterr()
    assert "row 'T' of A is no line" in output.err
    _, section, last = output.out.splitlines()
    assert section.split() == ["A", "2", "12", "1", "0"]
    assert last == "Hall: 1 sections, 12 seats, 1 aisles: fits"
