"""The tutorial is run as it stands, but for its servers: those of the test take their place."""

import os
import re
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support.pages.document_pages import DOCS

from infra.paths import ROOT
from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.ports import free_ports
from infra.stack.processes import child_environment

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_blocks_of_the_tutorial_run_one_after_another(tmp_path: Path) -> None:
    blocks = BLOCK.findall((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    ours = [block for block in blocks if "scripts/stack" not in block]
    assert len(ours) == len(blocks) - 2
    (port,) = free_ports(1)
    with ephemeral_stack("tests-tutorial", kafka_properties=QUICK_RESTART, fast_jit=True) as stack:
        environment = {
            **child_environment(),
            "KAFKA_BROKERS": stack.kafka_brokers,
            "SCHEMA_REGISTRY_URL": stack.registry_url,
            "REDIS_URL": stack.redis_url,
            "SEATSTREAM_API_PORT": str(port),
        }
        code, told = run("".join(ours).replace(".run/tutorial", str(tmp_path)), environment)
    assert code == 0, told
    assert told.count('"status":"HELD"') >= 1, told
    assert '"free":27' in told, told
    assert '"free":24' in told, told


def run(program: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run the program in a shell of its own; nothing that it starts outlives it."""
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", program],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    late = threading.Timer(500, _end, [shell])
    late.start()
    try:
        told, _ = shell.communicate()
    finally:
        late.cancel()
        _end(shell)
    return shell.returncode, told


def _end(shell: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
