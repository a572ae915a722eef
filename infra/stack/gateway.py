"""The mock payment gateway as a child process."""

import os
import re
import sys
from pathlib import Path
from typing import Final

from infra.paths import ROOT
from infra.stack.ports import free_ports
from infra.stack.processes import Child, child_environment, wait_until_ready

START_TIMEOUT_S: Final = 60.0
# What its clients read too: both sides have the same key and secret, or none.
HANDED_OVER: Final = ("MOCK_GATEWAY_API_KEY", "MOCK_GATEWAY_WEBHOOK_SECRET")
_READY: Final = re.compile(r"^gateway: ready at ", re.MULTILINE)


class MockGateway:
    """One gateway over `directory`; its ledger outlives the process.

    variables: of its environment, before those that are ours and handed over.
    """

    def __init__(self, directory: Path, variables: dict[str, str] | None = None) -> None:
        self._directory = directory
        self._variables = variables or {}
        self._port = self._control_port = 0
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """Return the address of the public side."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def control_url(self) -> str:
        """Return the address where faults are ordered."""
        return f"http://127.0.0.1:{self._control_port}"

    @property
    def ledger(self) -> Path:
        """Return the file of the ledger; read it with `infra.gateway.ledger.read_ledger`."""
        return self._directory / "ledger"

    def begin(self) -> None:
        """Choose ports and start."""
        self._port, self._control_port = free_ports(2)
        self.restart()

    def restart(self) -> None:
        """Start on the ports of the last start."""
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "infra.gateway", "--directory", str(self._directory)]
        command += ["--port", str(self._port), "--control-port", str(self._control_port)]
        handed = {name: os.environ[name] for name in HANDED_OVER if name in os.environ}
        environment = {**child_environment(), "PYTHONPATH": str(ROOT), **handed}
        environment |= self._variables
        self.child = Child(command, self._directory, self._directory / "log", environment)

    def wait(self) -> None:
        """Return when the gateway answers."""
        child = self.child
        assert child is not None, "begin first"
        wait_until_ready(
            child,
            lambda: bool(_READY.search(child.output())),
            START_TIMEOUT_S,
            name="The gateway",
            port=self._port,
        )

    def kill(self) -> None:
        """End the gateway as a crash would."""
        if self.child is not None:
            self.child.kill()
            self.child = None
