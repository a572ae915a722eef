"""What every script shares of its command line: help in its own words, and an end by Ctrl-C."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from scripts.program.progress import shown

STOPPED = 130
CANNOT = 2

CALLED_AS: ContextVar[str | None] = ContextVar("CALLED_AS", default=None)
"""What a script is called where another program runs it; then its help says so."""


def parser_of(
    doc: str | None, prog: str | None = None, epilog: str | None = None
) -> ArgumentParser:
    """Return a parser whose help begins with a script's docstring, line for line.

    prog: what the script is called in its help; None for the name of its file.
    """
    return ArgumentParser(
        prog=CALLED_AS.get() or prog,
        description=doc,
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
    )


def add_json(parser: ArgumentParser) -> None:
    """Give a script the option that has it print for machines."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def above_zero(text: str) -> int:
    """Return the whole number above 0 that an option is given. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{printable(text)} is no whole number above 0")
    return int(text)


def not_below_zero(text: str) -> int:
    """Return the whole number that an option is given. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f"{printable(text)} is no whole number, 0 or more")
    return int(text)


def tell(lines: Sequence[str], document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result: lines for people, one document for machines."""
    if as_json:
        print(json.dumps(document, indent=2))
    for line in () if as_json else lines:
        print(line)


def cannot(script: str, why: object, *, as_json: bool = False, code: int = CANNOT) -> int:
    """Print why nothing could be done, for people or for machines; return the exit code."""
    if as_json:
        print(json.dumps({"error": str(why)}))
    else:
        print(f"{script}: {why}", file=sys.stderr)
    return code


def printable(said: str) -> str:
    """Return a stranger's text without what a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)


def until_stopped(main: Callable[[], int]) -> int:
    """Run a script's main; return its exit code, or 130 where Ctrl-C stopped it."""
    try:
        with shown():
            return main()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
