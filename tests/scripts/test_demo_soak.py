"""A soak runs nothing where its demo would refuse to."""

import subprocess
import sys

import pytest

from infra.paths import ROOT
from infra.stack.processes import child_environment


@pytest.mark.programs
def test_a_soak_of_demos_that_the_demo_does_not_understand_runs_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo_soak", "--nonsense"],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "seed" not in done.stdout
