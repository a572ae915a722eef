"""The command prints each fault and says with its code whether there is one."""

from pathlib import Path

import pytest
from support.records.schema_edits import change, copied_schemas

from scripts.lint_schemas import main


def test_the_current_schemas_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().err == ""


def test_each_fault_is_a_line_and_the_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied_schemas(tmp_path)
    change(root, "commands/Tick.avsc", lambda schema: schema.pop("doc"))
    change(root, "types/Reason.avsc", lambda schema: schema.pop("default"))
    assert main(["--root", str(root)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert any(line.startswith("commands/Tick.avsc: ") for line in lines)
    assert any(line.startswith("types/Reason.avsc: ") for line in lines)
