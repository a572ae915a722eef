"""All that we write into a checkout lies where git does not look."""

import subprocess
import sys
from pathlib import Path

from infra import paths
from infra.paths import ROOT, RUN

WRITTEN = {
    name: value
    for name, value in vars(paths).items()
    if isinstance(value, Path) and name not in {"ROOT", "RUN"}
}


def test_everything_that_is_fetched_or_started_lies_below_one_folder() -> None:
    assert WRITTEN
    assert all(RUN in path.parents for path in WRITTEN.values())
    # No two uses share a folder, nor does one lie in another: each is removed as a whole.
    folders = list(WRITTEN.values())
    for path in folders:
        assert [path == other or path in other.parents for other in folders].count(True) == 1


def test_git_ignores_that_folder() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert f"/{RUN.relative_to(ROOT)}/" in ignored


def test_the_checkout_is_found_from_any_working_directory(tmp_path: Path) -> None:
    assert (ROOT / "pyproject.toml").is_file()
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import infra.paths as p; print(p.ROOT)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert Path(told.stdout.strip()) == ROOT
