"""Scripts on a command line: stopped, without what they need, or given what they do not know."""

import signal
import subprocess
import sys

import pytest
from support.records.registry_fake import fake_registry

from infra.paths import ROOT
from infra.stack.processes import child_environment, wait_until

NOT_IGNORED = ("env", "--default-signal=INT")
WAITS = ("register_schemas", "diff", "--registry")


@pytest.mark.programs
def test_a_script_that_is_stopped_while_it_waits_ends_with_130_and_one_word() -> None:
    with fake_registry() as registry:
        registry.hangs = True
        script = subprocess.Popen(
            # In the background of a shell SIGINT is ignored, and that is inherited.
            [*NOT_IGNORED, sys.executable, "-m", f"scripts.{WAITS[0]}", *WAITS[1:], registry.url],
            cwd=ROOT,
            env=child_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert wait_until(lambda: bool(registry.requests), 60)
            script.send_signal(signal.SIGINT)
            _, said = script.communicate(timeout=60)
        finally:
            script.kill()
    assert (script.returncode, said) == (130, "stopped\n")


@pytest.mark.parametrize(("name", "argument"), [("check", "extra"), ("setup", "--nonsense")])
def test_a_wrong_argument_is_refused_where_nothing_is_to_be_done(name: str, argument: str) -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / name), argument],
        cwd="/",
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert argument in done.stderr
