import subprocess
import sys
from pathlib import Path

import pytest

from infra.gateway.__main__ import parse
from infra.paths import ROOT


def started(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "infra.gateway", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_help_says_what_it_is_and_where_its_secrets_come_from() -> None:
    told = started("--help")
    assert told.returncode == 0
    assert "on loopback only" in told.stdout
    assert "MOCK_GATEWAY_WEBHOOK_SECRET" in told.stdout


def test_without_a_directory_it_says_how_it_is_used() -> None:
    with pytest.raises(SystemExit):
        parse([])


def test_a_ledger_that_is_damaged_is_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"nonsense\n\n")
    told = started("--directory", str(tmp_path))
    assert told.returncode == 1
    assert "line 1 cannot be read" in told.stderr
    assert "Traceback" not in told.stderr
