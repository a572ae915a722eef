"""A key file is made, added to, and never read by others; what is none of ours stays as it is."""

import json
import stat
import sys
from pathlib import Path

import pytest

from api.admission.passes import QUEUE, KeysUnusable, NotProved, Passes
from scripts.processes.admission_key import main, write_with_new_key


def ids(path: Path) -> list[str]:
    return [key["kid"] for key in json.loads(path.read_text(encoding="utf-8"))["keys"]]


def test_what_a_former_key_has_signed_stays_good_until_it_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.json"
    first = write_with_new_key(path, 2)
    token = Passes.read(path).queue(7, "ann", 5)
    made = [first, *(write_with_new_key(path, 2) for _ in range(2))]
    assert ids(path) == made[::-1]
    assert Passes.read(path).turn_in(token, QUEUE, 7, "ann") == 5
    write_with_new_key(path, 1)
    assert len(ids(path)) == 2
    with pytest.raises(NotProved):
        Passes.read(path).turn_in(token, QUEUE, 7, "ann")


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_with_new_key(path, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["keys.json"]


def test_a_file_of_something_else_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    path.write_text("a diary", encoding="utf-8")
    with pytest.raises(KeysUnusable):
        write_with_new_key(path, 2)
    monkeypatch.setattr(sys, "argv", ["admission_key", str(path)])
    assert main() == 1
    assert "SEATSTREAM_API_ADMISSION_KEYS" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "a diary"


def test_the_command_says_which_key_signs_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    monkeypatch.setattr(sys, "argv", ["admission_key", str(path)])
    assert main() == 0
    assert ids(path)[0] in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["admission_key", str(path), "--keep", "-1"])
    with pytest.raises(SystemExit):
        main()
