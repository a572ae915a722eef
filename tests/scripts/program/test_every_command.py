"""What holds of every command: help, an example that it understands, codes, JSON, completion."""

import json
import re
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.shell_completion import BashComplete

from infra.stack.ports import free_ports
from scripts.program import main as program
from scripts.program.catalogue import COMMANDS, Command

OURS = [command for command in COMMANDS if not command.replaces]
ASKS_NOBODY = {"schemas lint", "schemas check", "schemas release", "token", "topology"}
"""Commands that need neither brokers nor a registry."""

LOOKS = {
    *("topics plan", "topics verify", "schemas lint", "schemas check", "schemas diff"),
    *("schemas versions", "dead-letters list", "dead-letters show", "inspect section"),
    *("inspect reservation", "inspect store", "explain seat", "explain reservation", "audit"),
    *("replay", "offsets show", "transactions list", "lookup availability", "lookup pods"),
    *("waiting-room verify", "booking-queue stats", "booking-queue dead"),
}
TAKES_THE_STACK = {"topics", "schemas", "transactions", "commands", "offsets", "booking-queue"}
"""First words of commands that need no more than what the local stack has."""

OF_THE_CHECKOUT = {"token", "topology"}
"""They write a file that they are told of, which a person can take away."""

ENVIRONMENT = ("KAFKA_BROKERS", "SCHEMA_REGISTRY_URL", "REDIS_URL", "DATABASE_URL")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def name_of(command: Command) -> str:
    return command.name


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away every address."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def help_of(command: Command, capsys: pytest.CaptureFixture[str]) -> str:
    assert program.run([*command.words, "--help"]) == 0
    return capsys.readouterr().out


def example_of(command: Command, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what follows the words in the example that the help of a command has."""
    shown = re.findall(
        rf"^ *Example: seatstream {command.name}(?: (.*))?$",
        help_of(command, capsys),
        re.MULTILINE,
    )
    assert len(shown) == 1, shown
    # A folder that is there, and an address that refuses at once: not one to be looked for.
    given = [one.replace("/var/lib/seatstream", "/tmp") for one in shlex.split(shown[0])]
    return [re.sub(r"^http://[a-z]+:\d+", "http://127.0.0.1:1", one) for one in given]


@pytest.mark.parametrize("command", OURS, ids=name_of)
def test_the_help_of_a_command_says_what_it_is_for_what_it_takes_and_what_its_codes_mean(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_of(command, capsys)
    assert re.search(r"exit codes:\s+0 ", said, re.IGNORECASE)
    usage, _, description = said.partition("\n\n")
    assert usage.lower().startswith(f"usage: seatstream {command.name} ")
    first = description.strip().splitlines()[0]
    assert first.endswith((".", ":", ",", ";")) or len(first) > 60, first
    assert not first.lower().startswith(("options", "positional"))


class Parsed(BaseException):
    """A script has understood its arguments."""


@pytest.mark.parametrize("command", OURS, ids=name_of)
def test_the_example_in_the_help_of_a_command_is_one_that_it_understands(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = example_of(command, capsys)
    monkeypatch.setenv("REDIS_URL", "redis://nowhere:1")
    if command.is_ours:
        target: click.Command = program.target_of(command)
        assert target.make_context(command.name, arguments).params
        return
    parse = ArgumentParser.parse_args

    def parsed(self: ArgumentParser, words: Sequence[str]) -> NoReturn:
        raise Parsed(parse(self, words))

    monkeypatch.setattr(ArgumentParser, "parse_args", parsed)
    with pytest.raises(Parsed):
        program.handed_on(command, arguments)


@pytest.mark.parametrize("command", OURS, ids=name_of)
def test_a_command_that_changes_something_can_say_first_what_it_would_do(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = set(OPTION.findall(help_of(command, capsys)))
    assert "--json" in offered
    if command.name not in LOOKS | OF_THE_CHECKOUT:
        assert "--dry-run" in offered


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_a_shell_completes_the_words_and_the_options_of_a_command(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = BashComplete(program.program, {}, "seatstream", "_SEATSTREAM_COMPLETE")
    *before, last = command.words
    assert last in {one.value for one in shell.get_completions(before, last[:1])}
    if not command.replaces:
        offered = {one.value for one in shell.get_completions([*command.words], "--")}
        named = set(OPTION.findall(help_of(command, capsys).split("Options:")[-1]))
        assert {"--json"} <= offered
        assert not command.is_ours or offered == named


@pytest.mark.parametrize("command", OURS, ids=name_of)
def test_a_wrong_option_ends_a_command_with_2_and_changes_nothing(
    command: Command, nowhere: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run([*command.words, "--nonsense"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: " in err.lower()


@pytest.mark.parametrize(
    "command", [one for one in OURS if one.name not in ASKS_NOBODY], ids=name_of
)
def test_a_command_without_what_it_asks_ends_with_2_and_says_why_in_lines_and_in_json(
    command: Command, nowhere: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [one for one in example_of(command, capsys) if one not in {"--dry-run", "--json"}]
    if command.words[0] == "schemas":
        arguments += ["--wait", "0"] if "--wait" not in arguments else []
    assert program.run([*command.words, *arguments]) == 2
    said = "".join(capsys.readouterr())
    # With what to do about it.
    assert re.search(r"set [A-Z_]+|[A-Z_]+: |Start it", said), said
    assert "Traceback" not in said
    if command.words[0] in TAKES_THE_STACK and "--from" not in arguments:
        assert "./scripts/stack up" in said
    assert program.run([*command.words, *arguments, "--json"]) == 2
    assert told(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    "command", [one for one in OURS if one.name not in ASKS_NOBODY], ids=name_of
)
def test_a_command_whose_servers_are_dead_says_in_one_line_which_does_not_answer_and_what_to_set(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    broker, registry, redis, table = free_ports(4)
    addresses = [f"127.0.0.1:{broker}", f"http://127.0.0.1:{registry}"]
    addresses += [f"redis://127.0.0.1:{redis}", f"postgresql://us@127.0.0.1:{table}/ours"]
    for name, address in zip(ENVIRONMENT, addresses, strict=True):
        monkeypatch.setenv(name, address)
    arguments = [one for one in example_of(command, capfd) if one not in {"--dry-run", "--json"}]
    arguments += ["--wait", "0"] if command.words[0] == "schemas" else []
    assert program.run([*command.words, *arguments]) == 2
    # Of the whole process: clients of C write there too.
    out, err = capfd.readouterr()
    [said] = (out + err).splitlines()
    asked = re.findall(r"127\.0\.0\.1:\d+", said)
    assert asked, said
    assert re.search("KAFKA_BROKERS|SCHEMA_REGISTRY_URL|REDIS_URL|--wait", said), said


@pytest.mark.parametrize("command", [one for one in OURS if one.name in ASKS_NOBODY], ids=name_of)
def test_a_command_that_asks_nobody_prints_one_document_and_ends_with_0(
    command: Command,
    nowhere: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = example_of(command, capsys)
    if command.name == "token":
        arguments += ["--keys", str(tmp_path / "keys")]
    assert program.run([*command.words, *arguments, "--json"]) == 0
    assert told(capsys.readouterr().out)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.replaces], ids=name_of)
def test_help_of_what_takes_the_process_over_begins_with_an_example(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replaced: list[Sequence[str]] = []

    def exec_(_: str, words: Sequence[str]) -> NoReturn:
        replaced.append(words)
        raise SystemExit(0)

    monkeypatch.setattr("os.execv", exec_)
    assert program.run([*command.words, "--help"]) == 0
    assert replaced[0][:2] == [sys.executable, "-m"]
    assert f"Example: seatstream {command.name}" in capsys.readouterr().out


def told(out: str) -> dict[str, Any]:
    """Return the one document that was printed."""
    document: dict[str, Any] = json.loads(out)
    return document
