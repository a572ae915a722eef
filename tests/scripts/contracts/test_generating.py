"""What is committed is what the .proto files give; else it is told, and mended."""

from pathlib import Path

import pytest

from scripts.contracts import generating


def test_what_is_committed_is_what_the_proto_files_give() -> None:
    texts = generating.generated()
    assert len(texts) == 6
    assert generating.stale(texts) == []
    assert generating.main(["--check"]) == 0


def test_what_is_generated_otherwise_or_no_more_is_told_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    same, changed, gone = (tmp_path / f"{name}_pb2.py" for name in ("a", "b", "c"))
    for path in (same, changed, gone):
        path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(generating, "FOLDER", tmp_path)
    monkeypatch.setattr(generating, "ROOT", tmp_path)
    monkeypatch.setattr(generating, "generated", lambda: {same: "old", changed: "new"})
    assert generating.main(["--check"]) == 1
    assert capsys.readouterr().out.split() == ["b_pb2.py", "c_pb2.py"]
    assert changed.read_text(encoding="utf-8") == "old"
    assert generating.main([]) == 0
    assert changed.read_text(encoding="utf-8") == "new"
    assert not gone.exists()
    assert generating.main(["--check"]) == 0
