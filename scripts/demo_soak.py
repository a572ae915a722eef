"""Runs the demo again and again with the least priority beside busy loops, and counts how it ends.

A slow machine is where waits turn out to be guesses: every run must be exact all the same. Where
nothing is said of its size, the whole arena is sold (`--full`).

    python -m scripts.demo_soak --runs 20 --seats 5000
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from infra.paths import ROOT
from infra.stack.processes import Child, child_environment
from scripts.command_line import parser_of, until_stopped
from scripts.demo import arguments_of

EXACT = 0
HANGS = -1
LONGEST_S = 3_600
END_S = 30


@contextmanager
def busy_loops(count: int, log: Path) -> Iterator[None]:
    """Keep so many processors busy while the block runs."""
    loop = [sys.executable, "-c", "while True: pass"]
    children = [Child(loop, ROOT, log, child_environment()) for _ in range(count)]
    try:
        yield
    finally:
        for child in children:
            child.kill()


def options_of(rest: Sequence[str]) -> list[str]:
    """Return the options of each demo: those given, and `--full` where no size is among them."""
    # Ends here for what the demo does not know either.
    asked = arguments_of(rest)
    is_sized = asked.full or asked.waiting_room or asked.seats is not None
    return [*rest] if is_sized else [*rest, "--full"]


def run_once(options: Sequence[str], log: Path) -> int:
    """Run one demo with the least priority; return its exit code. None outlives us."""
    command = ["nice", "-n", "19", sys.executable, "-m", "scripts.demo", *options]
    log.unlink(missing_ok=True)
    demo = Child(command, ROOT, log, os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        return demo.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        return HANGS
    finally:
        demo.signal(signal.SIGTERM)
        demo.finish(END_S)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demos; return 0 when every one was exact, else 1."""
    parser = parser_of(
        __doc__,
        prog="demo_soak",
        epilog="What it does not know goes to the demo. A log that is not exact is kept.",
    )
    parser.add_argument("--runs", type=int, default=20, help="default 20")
    parser.add_argument("--busy", type=int, default=2, help="busy loops beside it, default 2")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; then one more each")
    parser.add_argument("--logs", type=Path, default=ROOT / ".run" / "demo-soak")
    arguments, rest = parser.parse_known_args(argv)
    options = options_of(rest)
    arguments.logs.mkdir(parents=True, exist_ok=True)
    codes: Counter[int] = Counter()
    with busy_loops(arguments.busy, arguments.logs / "busy.log"):
        for seed in range(arguments.seed, arguments.seed + arguments.runs):
            log, began_s = arguments.logs / f"seed-{seed}.log", monotonic()
            code = run_once(["--seed", str(seed), *options], log)
            codes[code] += 1
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            print(f"seed {seed}: {code} in {monotonic() - began_s:.0f} s {last}", flush=True)
            if code == EXACT:
                log.unlink()
    print(f"{codes[EXACT]} of {codes.total()} exact")
    return 0 if codes[EXACT] == codes.total() else 1


if __name__ == "__main__":
    sys.exit(until_stopped(main))
