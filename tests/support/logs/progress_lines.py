"""What a command tells of how far it is, as lines."""

from collections.abc import Callable

import pytest

from scripts.program.progress import shown


def said_on_the_way(
    work: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """Return what is told while something is done, without its speed, each once."""
    monkeypatch.setattr("scripts.program.progress.LINES_S", 0.0)
    with shown():
        work()
    lines = (line.rpartition(", ")[0] for line in capsys.readouterr().err.splitlines())
    return list(dict.fromkeys(lines))
