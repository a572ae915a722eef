"""The service as a process."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from infra.allocation.__main__ import parse
from infra.paths import ROOT


def test_it_listens_where_it_is_told() -> None:
    options = parse(["--directory", "d"])
    assert (options.directory, options.port, options.delay_ms) == (Path("d"), 3010, 0)


@pytest.mark.programs
def test_it_prints_its_address_answers_and_ends_when_told(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "infra.allocation",
        "--directory",
        str(tmp_path),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            with urlopen(f"{line.split()[-1]}/v1/allocations", timeout=60) as answer:
                assert json.load(answer) == []
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
