"""The schema registry (Apicurio, its Confluent-compatible interface) as a child process."""

import json
import urllib.request
from pathlib import Path
from typing import Final

from infra.paths import APICURIO_HOME
from infra.stack.java import archive_of, from_archive, java, to_archive
from infra.stack.loopback import answers_well
from infra.stack.ports import free_ports, is_listening
from infra.stack.processes import Child, wait_until_ready

APICURIO_VERSION: Final = "3.3.3"
HEAP_MB: Final = 256
START_TIMEOUT_S: Final = 120.0
COMPATIBILITY: Final = "FULL_TRANSITIVE"


class SchemaRegistry:
    """One registry over `directory`; its schemas outlive the process.

    record: where it writes the archive of its classes when it stops; it uses none then.
    """

    def __init__(self, directory: Path, record: Path | None = None) -> None:
        self._directory = directory
        self._record = record
        self._port, self._management_port = 0, 0
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """Return the address that clients of the Confluent interface take."""
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def begin(self) -> None:
        """Choose ports and start."""
        self._port, self._management_port = free_ports(2)
        self.restart()

    def restart(self) -> None:
        """Start on the ports of the last start."""
        self._directory.mkdir(parents=True, exist_ok=True)
        # A crash in mid-write is survived only without H2's write delay: with it, acknowledged
        # schemas are lost and their ids handed out again.
        settings = {
            "java.util.logging.manager": "org.jboss.logmanager.LogManager",
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self._port),
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": str(self._management_port),
            "quarkus.log.file.enable": "false",
            "apicurio.datasource.url": "jdbc:h2:file:./apicurio;WRITE_DELAY=0",
            "apicurio.datasource.jdbc.initial-size": "2",
            "apicurio.datasource.jdbc.min-size": "2",
            "apicurio.datasource.jdbc.max-size": "10",
            "apicurio.rest.deletion.artifact.enabled": "true",
            "apicurio.rest.deletion.artifact-version.enabled": "true",
        }
        # The registry is never what is measured, so it always starts the quick way.
        command = java(self._directory, HEAP_MB, fast_jit=True)
        record = self._record
        command += to_archive(record) if record else from_archive(archive_of(APICURIO_HOME))
        command += [f"-D{name}={value}" for name, value in settings.items()]
        command += ["-jar", str(APICURIO_HOME / "quarkus-run.jar")]
        self.child = Child(command, self._directory, self._directory / "registry.log")

    def wait(self) -> None:
        """Return when the registry answers and demands full compatibility of every version.

        Another server that was faster to bind one of its ports is not taken for it.
        """
        child = self.child
        assert child is not None, "begin first"
        health = f"http://127.0.0.1:{self._management_port}/health/ready"

        def is_ready() -> bool:
            ports = (self._port, self._management_port)
            is_ours = all(is_listening(child.pid, port) for port in ports)
            return is_ours and answers_well(health) and self._demands_compatibility()

        wait_until_ready(
            child,
            is_ready,
            START_TIMEOUT_S,
            name="The schema registry",
            port=self._port,
            advice="Check free memory (about 200 MB). If its data is damaged, "
            "`scripts/stack down --purge` deletes it.",
        )

    def _demands_compatibility(self) -> bool:
        """Say whether it took this; asked until it does, for a busy one now and then drops one."""
        request = urllib.request.Request(  # noqa: S310  (loopback HTTP)
            f"{self.url}/config",
            data=json.dumps({"compatibility": COMPATIBILITY}).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        return answers_well(request, timeout_s=30)

    def kill(self) -> None:
        """End the registry as a crash would."""
        if self.child is not None:
            self.child.kill()
            self.child = None
