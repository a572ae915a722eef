"""scripts/setup with an empty list of packages and a stand-in for the jar fetcher."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.bootstrap import _progress_of_pip
from infra.paths import ROOT
from infra.stack.__main__ import parse as stack_arguments
from scripts.demo import arguments_of as demo_arguments

pytestmark = pytest.mark.programs


PROGRAMS = ("setup", "demo", "stack", "test", "check", "fresh_machine")


def laid_out(folder: Path) -> Path:
    """Make a checkout whose path has blanks and which needs nothing from the network."""
    root = folder / "a check out"
    (root / "scripts").mkdir(parents=True)
    (root / "infra").mkdir()
    for name in PROGRAMS:
        shutil.copy(ROOT / "scripts" / name, root / "scripts" / name)
    shutil.copy(ROOT / "infra" / "bootstrap.py", root / "infra" / "bootstrap.py")
    (root / "infra" / "__init__.py").touch()
    (root / "infra" / "jars.py").write_text("open('fetched', 'a').write('once\\n')\n")
    (root / "infra" / "archives.py").write_text("open('archived', 'a').write('once\\n')\n")
    (root / "infra" / "requirements.txt").touch()
    (root / "infra" / "jars.lock").touch()
    return root


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a checkout that is not set up."""
    return laid_out(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a checkout that is set up, and is so after each test."""
    root = laid_out(tmp_path_factory.mktemp("built"))
    code, output = run(root)
    assert code == 0, output
    return root


@pytest.fixture
def shares_environment(checkout: Path, built: Path) -> Path:
    """Give a checkout that is not set up, but for its environment, which takes longest to make."""
    (checkout / ".venv").symlink_to(built / ".venv")
    return checkout


def start(checkout: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(checkout / "scripts" / "setup"), *arguments],
        cwd="/",
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(checkout: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    process = start(checkout, *arguments, **variables)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_after_a_failed_fetch_two_at_once_set_up_once_and_a_third_does_nothing(
    checkout: Path,
) -> None:
    fetcher = checkout / "infra" / "jars.py"
    works = fetcher.read_text()
    fetcher.write_text("raise SystemExit(1)\n")
    code, output = run(checkout)
    assert code == 1
    assert "jars are not complete" in output
    assert run(checkout, "--check")[0] == 1
    fetcher.write_text(works)
    both = [start(checkout), start(checkout)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert (checkout / "fetched").read_text() == "once\n"
    assert (checkout / "archived").read_text() == "once\n"
    assert run(checkout) == (0, "")
    assert run(checkout, "--check") == (0, "")
    # A changed lock is work to do again.
    (checkout / "infra" / "jars.lock").write_text("# changed\n")
    assert run(checkout, "--check")[0] == 1


def test_a_set_up_without_archives_is_one(shares_environment: Path) -> None:
    checkout = shares_environment
    (checkout / "infra" / "archives.py").write_text("raise SystemExit(1)\n")
    code, output = run(checkout)
    assert code == 0
    assert "no archives were made" in output
    assert run(checkout) == (0, "")


def test_an_environment_left_half_built_is_built_again(checkout: Path) -> None:
    leftover = checkout / ".venv" / "bin" / "python"
    leftover.parent.mkdir(parents=True)
    leftover.symlink_to("/bin/true")
    (checkout / ".run").mkdir()
    (checkout / ".run" / "setup.unfinished").touch()
    code, output = run(checkout)
    assert code == 0, output
    assert not (checkout / ".run" / "setup.unfinished").exists()
    version = subprocess.run([leftover, "-V"], check=True, capture_output=True, text=True)
    assert version.stdout.startswith("Python 3.")


def test_a_python_that_is_too_old_is_named(checkout: Path) -> None:
    old = checkout / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    code, output = run(checkout, PYTHON=str(old))
    assert code == 1
    assert "is not a Python 3.11 or newer" in output


def python_of(checkout: Path) -> str:
    command = [str(checkout / ".venv" / "bin" / "pip"), "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_i3_another_version_of_python_is_noticed(built: Path) -> None:
    """As after an upgrade of the system: all was laid out for the Python that was there before."""
    checkout = built
    (packages,) = (checkout / ".venv" / "lib").glob("python3.*")
    packages.rename(packages.with_name("python3.10"))
    stamp = checkout / ".run" / "setup.stamp"
    stamp.write_text(stamp.read_text().replace(sys.implementation.cache_tag, "cpython-310"))
    assert run(checkout, "--check")[0] == 1
    code, output = run(checkout)
    assert code == 0
    assert "1/4 virtual environment" in output
    assert str(checkout) in python_of(checkout)


def test_i3_a_checkout_at_another_place_is_noticed(built: Path) -> None:
    """A copy; what was moved differs in nothing."""
    there = built.with_name("another place")
    shutil.copytree(built, there, symlinks=True)
    assert run(there, "--check")[0] == 1
    assert run(there)[0] == 0
    assert run(there, "--check")[0] == 0
    assert str(there) in python_of(there)


def test_i3_an_environment_that_is_shared_by_a_link_is_used_as_it_is(
    shares_environment: Path, built: Path
) -> None:
    checkout, beside = built, shares_environment
    code, output = run(beside)
    assert code == 0
    assert "bringing this checkout up to date" in output
    assert (beside / ".venv").is_symlink()
    assert run(checkout, "--check")[0] == run(beside, "--check")[0] == 0


def test_i4_a_python_without_ensurepip_is_told_what_to_install(checkout: Path) -> None:
    """As Debian's python3 without python3-venv."""
    hidden = checkout / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\nfor name in ('ensurepip', 'virtualenv', 'pip'): sys.modules[name] = None\n"
    )
    bare = checkout / "python"
    bare.write_text(f"#!/bin/sh\nPYTHONPATH='{hidden}' exec {sys.executable} \"$@\"\n")
    bare.chmod(0o755)
    code, output = run(checkout, PYTHON=str(bare))
    assert code == 1
    assert "it comes without ensurepip" in output
    assert "\n    sudo apt-get install python3-venv\n" in output
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("name", ["a[1", "1]", "a:b", "what?", "oh!", "latin-1 \udcfc"])
def test_i10_a_path_that_a_server_cannot_live_with_is_refused_before_anything_is_done(
    checkout: Path, name: str
) -> None:
    there = checkout.with_name(name)
    checkout.rename(there)
    code, output = run(there)
    assert code == 1
    assert "this checkout's path" in output
    assert "Move the checkout" in output
    assert not (there / ".venv").exists()


def test_i6_ctrl_c_ends_a_fetch_without_a_traceback_and_the_next_run_goes_on(
    shares_environment: Path,
) -> None:
    checkout = shares_environment
    fetcher = checkout / "infra" / "jars.py"
    works = fetcher.read_text()
    fetcher.write_text("import signal\nprint('fetching', flush=True)\nsignal.pause()\n")
    process = start(checkout)
    assert process.stdout is not None
    assert "fetching\n" in iter(process.stdout.readline, "")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output == "\nsetup: interrupted; run it again to continue\n"
    assert process.returncode == 130
    fetcher.write_text(works)
    code, output = run(checkout)
    assert code == 0
    assert "1/4" not in output


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_i6_help_is_told_by_any_shell_before_anything_is_set_up(
    checkout: Path, program: str, shell: str
) -> None:
    command = [shell, str(checkout / "scripts" / program), "--help"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert answer.stdout.startswith(f"usage: scripts/{program}")
    assert answer.stderr == ""
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".run").exists()


def options_in(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", text)) - {"--help"}


def test_i6_the_help_that_needs_no_set_up_names_every_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, parse, commands in (
        ("demo", demo_arguments, [[]]),
        ("stack", stack_arguments, [["up"], ["down"], ["status"]]),
    ):
        for command in commands:
            with pytest.raises(SystemExit):
                parse([*command, "--help"])
        told = subprocess.run(
            [ROOT / "scripts" / name, "--help"], check=True, capture_output=True, text=True
        )
        # Where the full help is.
        parsed = capsys.readouterr().out.replace(f"scripts/{name} --help", "")
        assert options_in(told.stdout) == options_in(parsed)


def test_i6_what_pip_fetches_is_told_one_line_a_package() -> None:
    lines = (
        "Collecting orjson==3.13.0 (from -r infra/requirements.txt (line 7))\n",
        "  Downloading orjson-3.13.0-cp313-cp313-manylinux_2_17_x86_64.whl.metadata (41 kB)\n",
        "  Downloading orjson-3.13.0-cp313-cp313-manylinux_2_17_x86_64.whl (127 kB)\n",
        "Requirement already satisfied: pip in here\n",
        "  Using cached redis-8.1.0-py3-none-any.whl (400 kB)\n",
        "  Downloading scheme:somewhere/rich-15.0.0-py3-none-any.whl (2.1 MB)\n",
        "Installing collected packages: orjson, redis, rich\n",
        "Successfully installed orjson-3.13.0 redis-8.1.0 rich-15.0.0\n",
    )
    assert list(_progress_of_pip(lines)) == [
        "  [1] orjson-3.13.0-cp313-cp313-manylinux_2_17_x86_64.whl (127 kB)",
        "  [2] redis-8.1.0-py3-none-any.whl (400 kB)",
        "  [3] rich-15.0.0-py3-none-any.whl (2.1 MB)",
        "  all are here; installing them takes some time too",
    ]
