"""The program runs as a module too, where no package is installed."""

import subprocess
import sys

from infra.paths import ROOT
from infra.stack.processes import child_environment


def test_a_wrong_word_ends_the_module_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.program", "nonsense"],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr
