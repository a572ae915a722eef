"""scripts/test over stand-ins for set-up, checks and the interpreter that would run pytest."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from infra.paths import ROOT

PYTEST = """#!/bin/sh
echo "%3|FAIL|rdkafka#producer-1| Connection refused" >&2
echo "$*" >>runs
case "$*" in
    *--last-failed*) exit {second} ;;
esac
# The cache of failed tests lies where the first of these options says.
all="$*"
cache=${{all#*cache_dir=}}
cache=${{cache%% *}}
if [ {failed} -gt 0 ]; then
    mkdir -p "$cache/v/cache"
    for test in $(seq {failed}); do
        echo '  "tests/test_it.py::test_'$test'": true,'
    done >"$cache/v/cache/lastfailed"
fi
echo "FAILED tests/test_it.py::test_it"
echo "1 failed in 2 s"
exit {code}
"""
CHECK = """#!/bin/sh
echo "ok      mypy (1 s)"
echo "FAILED  ruff check"
echo "FAILED  schemas"
exit 3
"""
GOOD = "#!/bin/sh\nexit 0\n"
SCRIPT = (ROOT / "scripts" / "test").read_text(encoding="utf-8")


def run(
    checkout: Path, *arguments: str, check: str, code: int, failed: int = 0, second: int = 0
) -> "subprocess.CompletedProcess[str]":
    programs = {"scripts/setup": GOOD, "scripts/check": check}
    programs[".venv/bin/python"] = PYTEST.format(code=code, failed=failed, second=second)
    for name, text in programs.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
        (checkout / name).chmod(0o755)
    shutil.copy(ROOT / "scripts" / "test", checkout / "scripts" / "test")
    return subprocess.run(
        [str(checkout / "scripts" / "test"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("check", "code", "told"),
    [
        (GOOD, 0, ["checks  ok", "tests   ok"]),
        (CHECK, 0, ["checks  FAILED: ruff check,schemas", "tests   ok"]),
        (GOOD, 1, ["checks  ok", "tests   FAILED: the names are above; "]),
        (
            CHECK,
            1,
            ["checks  FAILED: ruff check,schemas", "tests   FAILED: the names are above; "],
        ),
        (GOOD, 5, ["checks  ok", "tests   none chosen"]),
    ],
)
def test_i9_the_last_lines_tell_of_every_part(
    tmp_path: Path, check: str, code: int, told: list[str]
) -> None:
    answer = run(tmp_path, check=check, code=code)
    *_, checks, tests, took = answer.stdout.splitlines()
    assert checks == told[0]
    assert tests.startswith(told[1])
    assert took.startswith("took ")
    assert answer.returncode == (3 if check == CHECK else code)
    assert "rdkafka" not in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("failed", "second", "told"),
    [
        (2, 0, "; all of them passed alone; what "),
        (
            2,
            1,
            "; alone these failed again: tests/test_it.py::test_1 tests/test_it.py::test_2; what ",
        ),
        (2, 4, "; what "),
        (6, 0, "; what "),
    ],
)
def test_a_few_that_fail_are_run_once_more_and_fail_the_command_all_the_same(
    tmp_path: Path, failed: int, second: int, told: str
) -> None:
    answer = run(tmp_path, "-k", "it", check=GOOD, code=1, failed=failed, second=second)
    assert answer.returncode == 1
    assert answer.stdout.splitlines()[-2].startswith("tests   FAILED: the names are above" + told)
    runs = (tmp_path / "runs").read_text().splitlines()
    assert len(runs) == (2 if failed <= 5 else 1)
    assert all("-k it" in one for one in runs)


def test_what_failed_in_a_run_before_is_not_run(tmp_path: Path) -> None:
    run(tmp_path, check=GOOD, code=1, failed=2)
    assert "alone" not in run(tmp_path, check=GOOD, code=0).stdout


def test_i9_what_ended_pytest_itself_is_shown(tmp_path: Path) -> None:
    answer = run(tmp_path, check=GOOD, code=4)
    assert "rdkafka" in answer.stderr
    assert "tests   FAILED: pytest ended with 4" in answer.stdout
    assert answer.returncode == 4


def test_long_runs_no_checks(tmp_path: Path) -> None:
    answer = run(tmp_path, "--long", check=CHECK, code=0)
    assert "checks  not run\ntests   ok\n" in answer.stdout
    assert answer.returncode == 0


def test_temporary_files_of_tests_lie_in_the_checkout(tmp_path: Path) -> None:
    scratch = ROOT / ".run" / "scratch"
    assert Path(tempfile.gettempdir()) == scratch
    assert scratch in tmp_path.parents


def test_so_they_do_when_pytest_is_started_without_scripts_test() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    one = f"{__file__}::{test_temporary_files_of_tests_lie_in_the_checkout.__name__}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", one]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout


TESTS_OF_A_FILE = """
import pytest

@pytest.mark.parametrize("number", range(12))
def test_it(number):
    pass
"""


@pytest.mark.timeout(300)
def test_the_tests_of_a_file_run_in_one_process_and_in_their_order(tmp_path: Path) -> None:
    """By the options of scripts/test; they share servers, and some topics."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in "ab":
        (tmp_path / f"test_{name}.py").write_text(TESTS_OF_A_FILE)
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-v"),
        *("--numprocesses", "3", *re.findall(r"--dist .*reorder", SCRIPT)[0].split()),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=250,
    )
    for name in "ab":
        ran = re.findall(rf"\[(gw\d)\] \[.* PASSED test_{name}\.py::test_it\[(\d+)\]", done.stdout)
        assert [int(number) for _, number in ran] == list(range(12)), done.stdout
        assert len({process for process, _ in ran}) == 1
