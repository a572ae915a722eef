"""scripts/setup with an empty list of packages and a stand-in for the jar fetcher."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.paths import ROOT

pytestmark = pytest.mark.programs


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a checkout whose path has blanks and which needs nothing from the network."""
    root = tmp_path / "a check out"
    (root / "scripts").mkdir(parents=True)
    (root / "infra").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", root / "scripts" / "setup")
    shutil.copy(ROOT / "infra" / "bootstrap.py", root / "infra" / "bootstrap.py")
    (root / "infra" / "__init__.py").touch()
    (root / "infra" / "jars.py").write_text("open('fetched', 'a').write('once\\n')\n")
    (root / "infra" / "requirements.txt").touch()
    (root / "infra" / "jars.lock").touch()
    return root


def start(checkout: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(checkout / "scripts" / "setup"), *arguments],
        cwd="/",
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(checkout: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    process = start(checkout, *arguments, **variables)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_after_a_failed_fetch_two_at_once_set_up_once_and_a_third_does_nothing(
    checkout: Path,
) -> None:
    fetcher = checkout / "infra" / "jars.py"
    works = fetcher.read_text()
    fetcher.write_text("raise SystemExit(1)\n")
    code, output = run(checkout)
    assert code == 1
    assert "jars are not complete" in output
    assert run(checkout, "--check")[0] == 1
    fetcher.write_text(works)
    both = [start(checkout), start(checkout)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert (checkout / "fetched").read_text() == "once\n"
    assert run(checkout) == (0, "")
    assert run(checkout, "--check") == (0, "")
    # A changed lock is work to do again.
    (checkout / "infra" / "jars.lock").write_text("# changed\n")
    assert run(checkout, "--check")[0] == 1


def test_an_environment_left_half_built_is_built_again(checkout: Path) -> None:
    leftover = checkout / ".venv" / "bin" / "python"
    leftover.parent.mkdir(parents=True)
    leftover.symlink_to("/bin/true")
    (checkout / ".run").mkdir()
    (checkout / ".run" / "setup.unfinished").touch()
    code, output = run(checkout)
    assert code == 0, output
    assert not (checkout / ".run" / "setup.unfinished").exists()
    version = subprocess.run([leftover, "-V"], check=True, capture_output=True, text=True)
    assert version.stdout.startswith("Python 3.")


def test_a_python_that_is_too_old_is_named(checkout: Path) -> None:
    old = checkout / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    code, output = run(checkout, PYTHON=str(old))
    assert code == 1
    assert "is not a Python 3.11 or newer" in output
