"""The topic of statuses is written anew while the arena sells, by the command of operators."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.paths import ROOT
from schemas.topics import SECTION_STATUS
from scripts.brokers.addresses import Servers
from scripts.processes.started import environment_at

WAIT_S = 120
RETELL_S = 1
"""Of the workers meanwhile: sections that nobody buys in are told again soon."""


class Rebuild:
    """The command, its process, and what it told at the end; directory: for what it says."""

    def __init__(self, where: Servers, directory: Path) -> None:
        self._where = where
        self._said = directory / "rebuilt.json"
        self._child: subprocess.Popen[bytes] | None = None
        self._result: dict[str, Any] = {}

    def start(self) -> None:
        """Start it, or start it again: it goes on where it was."""
        words = (
            "topics",
            "rebuild",
            SECTION_STATUS.name,
            "--yes",
            "--wait",
            str(WAIT_S),
            "--json",
        )
        with self._said.open("wb") as said:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "scripts.program", *words],
                cwd=ROOT,
                # Without a lease: whoever comes after one that was killed would wait for its end.
                env=environment_at(self._where) | {"REDIS_URL": ""},
                stdout=said,
            )

    def has_ended(self) -> bool:
        """Say whether the process is not running."""
        return self._child is None or self._child.poll() is not None

    def kill(self) -> None:
        """End it as a crash would; where it has ended, nothing."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    @property
    def figures(self) -> dict[str, Any]:
        """Return how many statuses were written anew, and how many are not as the state is.

        A command that could not do it counts as one of these.
        """
        told = self._told()
        return {
            "rebuilt_keys": told.get("rebuilt_keys", 0),
            "rebuild_mismatches": told.get("rebuild_mismatches", 1),
        }

    @property
    def is_exact(self) -> bool:
        """Say whether all was written anew and verified."""
        return self._told().get("verified") is True and not self.figures["rebuild_mismatches"]

    def _told(self) -> dict[str, Any]:
        # Kept: the directory goes before the verdict comes.
        if not self._result:
            with suppress(OSError, ValueError):
                self._result = json.loads(self._said.read_text(encoding="utf-8"))
        return self._result


@contextmanager
def rebuilding(where: Servers, directory: Path) -> Iterator[Rebuild]:
    """Give the command, which does not outlive this."""
    rebuild = Rebuild(where, directory)
    try:
        yield rebuild
    finally:
        rebuild.kill()


def retelling(rebuild: Rebuild | None) -> dict[str, str]:
    """Return what the workers are set to where statuses are written anew."""
    return {} if rebuild is None else {"SEATSTREAM_RETELL_S": str(RETELL_S)}
