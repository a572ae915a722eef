"""Before a commit schemas are checked where it touches them, and nothing else is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.paths import ROOT

HOOK = ROOT / "scripts" / "hooks" / "pre-commit"


def git(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull}
    names = {name.replace("AUTHOR", "COMMITTER"): said for name, said in who.items()}
    # Of a hook that runs us: its repository is another.
    own = {name: said for name, said in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *words],
        cwd=checkout,
        env=own | who | names,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a repository with the hook; its Python says what it is asked, and fails if told to."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "asked $*" >&2\n[ "$3" != "$(cat fails)" ]\n')
    python.chmod(0o755)
    (tmp_path / "fails").write_text("nothing")
    (tmp_path / "schemas").mkdir()
    assert git(tmp_path, "init", "-q").returncode == 0
    git(tmp_path, "config", "core.hooksPath", str(HOOK.parent))
    return tmp_path


def committed(checkout: Path, name: str) -> tuple[int, str]:
    (checkout / name).write_text("changed")
    git(checkout, "add", name)
    done = git(checkout, "commit", "-qm", "change")
    return done.returncode, done.stderr


def test_what_touches_no_schema_is_not_held_up(checkout: Path) -> None:
    assert committed(checkout, "readme") == (0, "")


def test_schemas_are_linted_and_compared_with_every_version(checkout: Path) -> None:
    code, said = committed(checkout, "schemas/A.avsc")
    assert code == 0
    assert said.splitlines() == [
        "asked -m scripts.lint_schemas",
        "asked -m scripts.register_schemas check",
    ]


def test_schemas_that_do_not_read_each_other_are_not_committed(checkout: Path) -> None:
    (checkout / "fails").write_text("check")
    code, said = committed(checkout, "schemas/A.avsc")
    assert code == 1
    assert "Topics and schemas" in said
