"""A bare Python in, `.venv/` and `.run/lib/` out; the standard library is all it needs.

Run by scripts/setup with the machine's interpreter when the stamp does not match. The stamp is
written last: whatever interrupts us, the next run sees that work is left.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeAlias

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
RUN = ROOT / ".run"
# What was fetched and not yet installed; gone when set-up has finished.
FETCH = RUN / "fetch"
REQUIREMENTS = ROOT / "infra" / "requirements.txt"
LOCK = ROOT / "infra" / "jars.lock"
STAMP = RUN / "setup.stamp"
UNFINISHED = RUN / "setup.unfinished"
# Another one when set-up does more than it did: checkouts that are ready get that too.
EDITION = b"archives"

# A virtual environment's PATH entry ends at a colon; the registry makes addresses out of the path
# of its own files, which these break; and Java names files by UTF-8 only.
UNUSABLE = re.compile("[:\\[\\]?]|!/|[\udc80-\udcff]")


Show: TypeAlias = Callable[[Iterable[str]], Iterator[str]]
"""From a program's lines to those that are printed."""


class SetupError(Exception):
    """Set-up cannot go on; the message says what the operator does."""


def stamp_of_this() -> str:
    """Return what a finished set-up with the interpreter that runs this is known by.

    Requirements, jar lock and what set-up does; the interpreter, since packages are laid out for
    its version; and the place of the environment, since its programs have it written in them.
    """
    wanted = REQUIREMENTS.read_bytes() + LOCK.read_bytes() + EDITION
    content = hashlib.sha256(wanted).hexdigest()
    interpreter = f"{sys.implementation.cache_tag}{sys.abiflags} {os.uname().machine}"
    return f"{content} {interpreter} {os.path.realpath(sys.executable)} {VENV.resolve()}"


def stamp_of_environment() -> str | None:
    """Return the same of the environment's own interpreter; None when that does not run."""
    command = [str(VENV_PYTHON), "-I", "-S", __file__, "--stamp"]
    with suppress(OSError):
        answer = subprocess.run(command, check=False, capture_output=True)
        if answer.returncode == 0:
            return os.fsdecode(answer.stdout).strip()
    return None


def is_ready() -> bool:
    """Tell whether a finished set-up of exactly these requirements is in place."""
    return STAMP.is_file() and os.fsdecode(STAMP.read_bytes()).strip() == stamp_of_environment()


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"setup: {text}", flush=True)


def is_reusable() -> bool:
    """Tell whether packages may be installed into the environment that is there.

    Not after an interrupt, which can leave half a package that looks installed; nor where its
    interpreter has another version than at its making, or it was made at another place.
    """
    if UNFINISHED.exists():
        return False
    ask = "import os, sys; print(os.path.isdir(sys.argv[1] % sys.version_info[:2]))"
    packages = str(VENV / "lib" / "python%d.%d" / "site-packages")
    with suppress(OSError):
        # Its activation script is where it names its place, whoever made it.
        if os.fsencode(VENV.resolve()) not in (VENV / "bin" / "activate").read_bytes():
            return False
        command = [str(VENV_PYTHON), "-I", "-S", "-c", ask, packages]
        return subprocess.run(command, check=False, capture_output=True).stdout == b"True\n"
    return False


def remove_environment() -> None:
    """Remove `.venv`; where it is a link, only the link."""
    if VENV.is_symlink():
        VENV.unlink()
    else:
        shutil.rmtree(VENV, ignore_errors=True)


def make_environment(steps: "Steps") -> None:
    """Create `.venv`, with whichever of venv, virtualenv and pip this machine has."""
    has = {
        name: importlib.util.find_spec(name) is not None
        for name in ("venv", "ensurepip", "virtualenv", "pip")
    }
    python, environment = sys.executable, str(VENV)
    ways = [
        ({"venv", "ensurepip"}, [[python, "-m", "venv", environment]]),
        ({"virtualenv"}, [[python, "-m", "virtualenv", environment]]),
        (
            {"venv", "pip"},
            [
                [python, "-m", "venv", "--without-pip", environment],
                [python, "-m", "pip", "--python", str(VENV_PYTHON), "install", "pip"],
            ],
        ),
    ]
    for needed, commands in ways:
        remove_environment()
        if all(has[name] for name in needed) and all(steps.run(one) == 0 for one in commands):
            return
    remove_environment()
    missing = " and ".join(name for name in ("venv", "ensurepip") if not has[name])
    raise SetupError(
        f"{python} cannot make a virtual environment"
        + (f": it comes without {missing}. " if missing else ". ")
        + "On Debian and Ubuntu this brings what it takes:\n\n"
        "    sudo apt-get install python3-venv\n\n"
        "Without root: name another Python 3.11 or newer that has them in the variable PYTHON."
    )


def install_packages(steps: "Steps") -> None:
    """Install the hashed requirements; pip's complaints pass through."""
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--no-user", "--require-hashes"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(REQUIREMENTS)]
    if steps.run(command, show=_progress_of_pip) != 0:
        raise SetupError(
            "pip could not install infra/requirements.txt (its messages are above). Check the "
            "network, the proxy variables and pip's index setting, then run scripts/setup again."
        )


def _progress_of_pip(lines: Iterable[str]) -> Iterator[str]:
    """Turn pip's lines into one for each package that arrives, and one for the wait at the end."""
    arrived = 0
    for line in lines:
        match line.split():
            case ["Downloading" | "Using", *_, name, size, unit] if ".metadata" not in name:
                arrived += 1
                # From an index of one's own, pip prints the whole address.
                yield f"  [{arrived}] {name.rpartition('/')[2]} {size} {unit}"
            case ["Installing", "collected", *_]:
                yield "  all are here; installing them takes some time too"


def fetch_jars(steps: "Steps") -> None:
    """Fetch Kafka's jars and the schema registry with the environment's own fetcher."""
    if steps.run([str(VENV_PYTHON), "-m", "infra.jars"]) != 0:
        raise SetupError("the jars are not complete (messages above).")


def make_archives(steps: "Steps") -> None:
    """Have servers start sooner; where that cannot be, they start as they are."""
    if steps.run([str(VENV_PYTHON), "-m", "infra.archives"]) != 0:
        say("no archives were made (message above); servers start without, only later")


class Steps:
    """Runs programs one after the other; who interrupts us ends them without a word of theirs.

    lock: held by the programs too, so that a next set-up waits for one that outlived us.
    """

    def __init__(self, lock: IO[str]) -> None:
        self._lock = lock

    def run(self, command: Sequence[str], show: Show | None = None) -> int:
        """Return the exit code; what the program prints is shown, all of it or as `show` says."""
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=None if show is None else subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            pass_fds=[self._lock.fileno()],
            # Ctrl-C at the terminal reaches us alone.
            start_new_session=True,
        )
        try:
            if show is not None and process.stdout is not None:
                for line in show(process.stdout):
                    print(line, flush=True)
            return process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _environment() -> dict[str, str]:
    """Return our variables without those that lead Python or its files out of the checkout.

    Package files are kept beside until all are installed: an interrupted set-up goes on with them.
    """
    unwanted = {"PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PIP_TARGET", "PIP_PREFIX"}
    wanted = {name: value for name, value in os.environ.items() if name not in unwanted}
    temporary = FETCH / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {"PIP_CACHE_DIR": str(FETCH / "pip"), **wanted, "TMPDIR": str(temporary)}


def refuse_what_cannot_work() -> None:
    """Say what stands in the way before anything is fetched; raises SetupError."""
    found = UNUSABLE.search(f"{ROOT}/")
    if found:
        what = "letters that are not UTF-8" if "\\" in ascii(found.group()) else found.group()
        raise SetupError(
            f"{os.fsencode(ROOT)!r}, this checkout's path, has {what} in it: "
            "virtual environments, Kafka or the schema registry cannot live there. "
            "Move the checkout."
        )
    machine = platform.machine()
    if machine != "x86_64":
        say(f"made for x86-64; on {machine} pip builds faust-streaming, if a C compiler is here")


def set_up() -> None:
    """Bring `.venv` and `.run/lib` to the state the stamp stands for."""
    started_s = time.monotonic()
    refuse_what_cannot_work()
    RUN.mkdir(exist_ok=True)
    with (RUN / "setup.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up of this checkout is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if is_ready():
            return
        steps = Steps(lock)
        reusable = is_reusable()
        STAMP.unlink(missing_ok=True)
        UNFINISHED.touch()
        if reusable:
            say("bringing this checkout up to date")
        else:
            say("first run here: about 330 MB to fetch, usually one to three minutes")
            say("1/4 virtual environment in .venv")
            make_environment(steps)
        say("2/4 Python packages (hashes checked)")
        install_packages(steps)
        UNFINISHED.unlink()
        say("3/4 Kafka and schema registry jars (hashes checked)")
        fetch_jars(steps)
        say("4/4 archives that Kafka and the registry start from, a third sooner; some 10 s")
        make_archives(steps)
        stamp = stamp_of_environment()
        if stamp is None:
            raise SetupError(f"{VENV_PYTHON} does not run. Run scripts/setup again.")
        temporary = STAMP.with_suffix(".new")
        temporary.write_bytes(os.fsencode(stamp + "\n"))
        temporary.replace(STAMP)
        shutil.rmtree(FETCH, ignore_errors=True)
    say(f"ready after {time.monotonic() - started_s:.0f} s")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Set up, or with --check only say whether there is something to do (exit 1)."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if not ready")
    # For scripts/setup and ourselves, who ask the environment's interpreter.
    parser.add_argument("--stamp", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stamp:
        sys.stdout.buffer.write(os.fsencode(stamp_of_this() + "\n"))
        return 0
    if arguments.check:
        return 0 if is_ready() else 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A background job of a shell starts with Ctrl-C ignored: taken back. That of nohup stays.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        set_up()
    except SetupError as error:
        print(f"setup: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run it again to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
