"""What commands of click's share: options, how they fail, what they say on the way."""

import getpass
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

from scripts.command_line import printable

_Function = TypeVar("_Function", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
yes_option = click.option("--yes", is_flag=True, help="Do it without being asked.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done; change nothing."
)
reason_option = click.option(
    "--reason", default="", help="Why, for the record that is kept of it."
)


def change_options(function: _Function) -> _Function:
    """Give a command that changes something --dry-run, --yes and --json."""
    return dry_run_option(yes_option(json_option(function)))


CODES = """Exit codes: 0 done, 1 something was found or is left to do, 2 it could not be done,
130 stopped with Ctrl-C."""


class Plain(click.Command):
    """A command whose help has the lines of its docstring as they are, and what its codes mean."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        formatter.write_paragraph()
        said = inspect.cleandoc(self.help or "")
        if "Exit codes" not in said:
            said = f"{said}\n\n{CODES}"
        for line in said.splitlines():
            formatter.write(f"  {line}".rstrip() + "\n")


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command of the program."""
    return click.command(name, cls=Plain)


def failing(*errors: type[Exception]) -> Callable[[_Function], _Function]:
    """Tell these errors as a line and exit code 2; as JSON where the command was asked for it."""

    def of(function: _Function) -> _Function:
        @wraps(function)
        def run(*args: Any, **named: Any) -> Any:
            try:
                return function(*args, **named)
            except errors as error:
                if named.get("as_json"):
                    click.echo(json.dumps({"error": str(error)}))
                    raise SystemExit(2) from error
                raise click.ClickException(str(error)) from error

        return run  # type: ignore[return-value]

    return of


def resumable(function: _Function) -> _Function:
    """Say to whoever stops the command that it goes on when it is run again."""

    @wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except KeyboardInterrupt:
            click.echo("run it again: it goes on where it is", err=True)
            raise

    return run  # type: ignore[return-value]


def confirmed(question: str, *, yes: bool) -> None:
    """Ask unless told before; raises ClickException where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException(f"{question} Nobody is there to be asked: give --yes")
    click.confirm(question, abort=True, err=True)


def is_all(steps: Sequence[str], *, dry_run: bool, as_json: bool) -> bool:
    """Print the steps of what is to be done; say whether nothing else is asked for."""
    if not as_json:
        for line in steps:
            click.echo(line)
    elif dry_run:
        click.echo(json.dumps({"steps": list(steps)}))
    return dry_run


def say(line: str) -> None:
    """Print a line in which strangers may have had a word."""
    click.echo(printable(line))


def somebody() -> str:
    """Return who runs this, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
