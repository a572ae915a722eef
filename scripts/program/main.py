"""`seatstream`: finds a command in the catalogue, imports what does it, and runs it.

Exit codes of every command: 0 done, 1 something was found, 2 it could not be done, 130 stopped
with Ctrl-C, or because whoever read its lines has gone.
"""

import contextlib
import importlib
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from scripts.command_line import CALLED_AS, STOPPED
from scripts.program.catalogue import CANNOT, DONE, GROUPS, Command, below, command_at
from scripts.program.progress import shown

PROGRAM = "seatstream"
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def target_of(command: Command) -> Any:
    """Import what does a command."""
    module, _, name = command.target.partition(":")
    return getattr(importlib.import_module(module), name)


def handed_on(command: Command, arguments: Sequence[str]) -> int:
    """Run a script that reads its own arguments; return its code as all commands tell it."""
    # A word that the script has itself is written behind its name by its own parser.
    own = len(command.words) - (command.given[:1] == command.words[-1:])
    called = CALLED_AS.set(" ".join((PROGRAM, *command.words[:own])))
    try:
        code = int(target_of(command)([*command.given, *arguments]))
    except SystemExit as end:
        # Of argparse: 0 behind the help, 2 behind a wrong argument.
        code = end.code if isinstance(end.code, int) else CANNOT
        if code == DONE:
            _say_more(command)
    finally:
        CALLED_AS.reset(called)
    return dict(command.codes).get(code, code)


def _say_more(command: Command) -> None:
    """Print what a script's own help cannot know."""
    for own, told in command.codes:
        print(f"\nAs {PROGRAM} {command.name} it ends with {told} in place of {own}.")
    print(f"\nExample: {PROGRAM} {command.name} {command.example}".rstrip())


def _replaced_by(command: Command, arguments: Sequence[str]) -> NoReturn:
    """Let another program take this process over, its signals and its end included."""
    module = command.target.partition(":")[0]
    if "--help" in arguments:
        _say_more(command)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *command.given, *arguments])  # noqa: S606


def help_of(command: Command) -> str:
    """Return what `--help` of a script prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        handed_on(command, ["--help"])
    return said.getvalue()


class HandedOn(click.Command):
    """A command whose script reads its own arguments, `--help` among them."""

    def __init__(self, command: Command) -> None:
        super().__init__(
            command.words[-1],
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            help=command.summary,
            short_help=command.summary,
            add_help_option=False,
            context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        )
        self.command = command

    def invoke(self, ctx: click.Context) -> NoReturn:
        arguments = ctx.params["arguments"]
        if self.command.replaces:
            _replaced_by(self.command, arguments)
        sys.exit(handed_on(self.command, arguments))

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Offer the options that the script's own help names."""
        if not incomplete.startswith("-") or self.command.replaces:
            return []
        found = dict.fromkeys(_OPTION.findall(help_of(self.command)))
        return [CompletionItem(option) for option in found if option.startswith(incomplete)]


class Words(click.Group):
    """Words of the catalogue, as a group whose commands are imported when they are run."""

    def __init__(self, words: tuple[str, ...] = (), **named: Any) -> None:
        super().__init__(words[-1] if words else PROGRAM, no_args_is_help=True, **named)
        self.words = words

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(below(self.words))

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        words = (*self.words, cmd_name)
        if words[0] in GROUPS and len(words) == 1:
            return Words(words, help=GROUPS[cmd_name])
        command = command_at(words)
        if command is None:
            return None
        if not command.is_ours:
            return HandedOn(command)
        found: click.Command = target_of(command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by their summaries, without importing one of them."""
        rows = []
        for word in self.list_commands(ctx):
            command = command_at((*self.words, word))
            rows.append((word, GROUPS[word] if command is None else command.summary))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


PROGRAM_HELP = """Sells seats on Kafka: what operators run.

\b
Addresses come from the environment, as for workers (docs/operations.md); where one is
not set, it is that of the local stack that is up.

\b
Exit codes: 0 done, 1 something was found, 2 it could not be done, 130 stopped.

\b
Example: seatstream dead-letters list --since 2h
Completion: eval "$(_SEATSTREAM_COMPLETE=bash_source seatstream)"
"""

program = Words(help=PROGRAM_HELP)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code."""
    try:
        with shown():
            code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our lines has gone, as `head` does; what was to be done is not done.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return STOPPED
    except ModuleNotFoundError as error:
        # The wheel lacks what only who changes the code needs.
        click.echo(f"this command needs the package {error.name}, which is not here", err=True)
        return CANNOT
    except Exception:  # noqa: BLE001 (Python's own code for it says that something was found)
        traceback.print_exc()
        return CANNOT
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = program.main(
            None if arguments is None else [*arguments], PROGRAM, standalone_mode=False
        )
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        return STOPPED
    except click.ClickException as error:
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            # Whoever reads this waits for a document, whatever it says.
            click.echo(json.dumps({"error": error.format_message()}))
        else:
            error.show()
        return CANNOT
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            # Click ends with 1 then, by which we say that something was found.
            raise end.__context__ from None
        return end.code if isinstance(end.code, int) else CANNOT if end.code else 0
    return code if isinstance(code, int) else 0
