"""A bare Python in, `.venv/` and `.run/lib/` out; the standard library is all it needs.

Run by scripts/setup with the machine's interpreter when the stamp does not match. The stamp is
written last: whatever interrupts us, the next run sees that work is left.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
RUN = ROOT / ".run"
REQUIREMENTS = ROOT / "infra" / "requirements.txt"
LOCK = ROOT / "infra" / "jars.lock"
STAMP = RUN / "setup.stamp"
UNFINISHED = RUN / "setup.unfinished"


class SetupError(Exception):
    """Set-up cannot go on; the message says what the operator does."""


def expected_stamp() -> str:
    """Return what scripts/setup computes: SHA-256 of the requirements and the jar lock."""
    return hashlib.sha256(REQUIREMENTS.read_bytes() + LOCK.read_bytes()).hexdigest()


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"setup: {text}", flush=True)


def is_ready() -> bool:
    """Tell whether a finished set-up of exactly these requirements is in place."""
    return (
        os.access(VENV_PYTHON, os.X_OK)
        and STAMP.is_file()
        and STAMP.read_text().strip() == expected_stamp()
    )


def make_environment() -> None:
    """Create `.venv`, with whichever of venv, virtualenv and pip this machine has."""
    if ":" in str(VENV):
        raise SetupError(
            f"the path {ROOT} contains ':', which no virtual environment can have. "
            "Move the checkout."
        )
    shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        result = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
        if result.returncode == 0:
            return
        shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("virtualenv"):
        result = subprocess.run([sys.executable, "-m", "virtualenv", str(VENV)], check=False)
        if result.returncode == 0:
            return
        shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("venv") and importlib.util.find_spec("pip"):
        commands = (
            [sys.executable, "-m", "venv", "--without-pip", str(VENV)],
            [sys.executable, "-m", "pip", "--python", str(VENV_PYTHON), "install", "pip"],
        )
        if all(subprocess.run(command, check=False).returncode == 0 for command in commands):
            return
    raise SetupError(
        f"{sys.executable} cannot make a virtual environment: its modules venv and ensurepip are "
        "missing. Install them (Debian, Ubuntu: the package python3-venv), or `pip install "
        "virtualenv`, or name another Python 3.11+ in the variable PYTHON."
    )


def install_packages() -> None:
    """Install the hashed requirements; pip's own messages pass through."""
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--no-user", "--require-hashes"]
    command += ["--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
    command += ["-r", str(REQUIREMENTS)]
    if subprocess.run(command, check=False, env=environment()).returncode != 0:
        raise SetupError(
            "pip could not install infra/requirements.txt (its messages are above). Check the "
            "network, the proxy variables and pip's index setting, then run scripts/setup again."
        )


def fetch_jars() -> None:
    """Fetch Kafka's jars and the schema registry with the environment's own fetcher."""
    command = [str(VENV_PYTHON), "-m", "infra.jars"]
    if subprocess.run(command, check=False, cwd=ROOT, env=environment()).returncode != 0:
        raise SetupError("the jars are not complete (messages above).")


def environment() -> dict[str, str]:
    """Return our variables without those that would lead Python out of the environment."""
    unwanted = {"PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PIP_TARGET", "PIP_PREFIX"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def set_up() -> None:
    """Bring `.venv` and `.run/lib` to the state the stamp stands for."""
    started_s = time.monotonic()
    RUN.mkdir(exist_ok=True)
    with (RUN / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up of this checkout is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if is_ready():
            return
        # An interrupted pip can leave half a package that looks installed: start afresh then.
        reusable = os.access(VENV_PYTHON, os.X_OK) and not UNFINISHED.exists()
        STAMP.unlink(missing_ok=True)
        UNFINISHED.touch()
        if reusable:
            say("bringing this checkout up to date")
        else:
            say("first run here: about 330 MB to fetch, usually one to three minutes")
        if not reusable:
            say("1/3 virtual environment in .venv")
            make_environment()
        say("2/3 Python packages (hashes checked)")
        install_packages()
        UNFINISHED.unlink()
        say("3/3 Kafka and schema registry jars (hashes checked)")
        fetch_jars()
        temporary = STAMP.with_suffix(".new")
        temporary.write_text(expected_stamp() + "\n")
        temporary.replace(STAMP)
    say(f"ready after {time.monotonic() - started_s:.0f} s")


def main() -> int:
    """Set up, or with --check only say whether there is something to do (exit 1)."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if not ready")
    arguments = parser.parse_args()
    if arguments.check:
        return 0 if is_ready() else 1
    try:
        set_up()
    except SetupError as error:
        print(f"setup: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
