import subprocess
import sys
from pathlib import Path

from infra.paths import ROOT
from infra.stack import ephemeral_directory

HOLDER = """
import sys
from pathlib import Path
from infra.stack import ephemeral_directory
with ephemeral_directory("demo", Path(sys.argv[1])) as directory:
    print(directory, flush=True)
    sys.stdin.read()
"""


def test_a_directory_is_removed_at_the_end(tmp_path: Path) -> None:
    with ephemeral_directory("demo", tmp_path) as directory:
        (directory / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_two_of_one_process_are_different(tmp_path: Path) -> None:
    with (
        ephemeral_directory("demo", tmp_path) as first,
        ephemeral_directory("demo", tmp_path) as second,
    ):
        assert first != second
        assert first.is_dir()


def test_a_killed_owner_s_directory_goes_at_the_next_start_and_a_live_one_s_stays(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        held = Path(owner.stdout.readline().strip())
        with ephemeral_directory("demo", tmp_path):
            assert held.is_dir()
        owner.kill()
        owner.wait()
        assert held.is_dir()
        with ephemeral_directory("demo", tmp_path):
            assert not held.exists()
