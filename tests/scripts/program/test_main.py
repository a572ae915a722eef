"""The program finds a command, hands its arguments on, and ends with 0, 1, 2 or 130."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

import click
import pytest

from infra.paths import ROOT
from infra.stack.processes import child_environment
from scripts.command_line import parser_of
from scripts.program import main as program
from scripts.program.catalogue import COMMANDS, GROUPS, Command

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
HEAVY = ("aiokafka", "confluent_kafka", "faust", "fastavro", "rocksdict", "redis", "fastapi")


def said_by(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = program.run(arguments)
    return code, *capsys.readouterr()


def test_help_names_every_command_and_imports_none_of_what_they_need() -> None:
    asked = "\n".join(
        [
            "import sys; from scripts.program.main import run",
            "assert run(['--help']) == 0",
            f"sys.exit(bool(sys.modules.keys() & set({HEAVY!r})))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"  {command.words[0]} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_word_behind_it_says_which_there_are(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said_by(group, capsys=capsys)
    assert code == 2
    for command in COMMANDS:
        if command.words[0] == group:
            assert re.search(rf"^  {command.words[1]} ", out + err, re.MULTILINE)


@pytest.mark.parametrize("words", [["nonsense"], ["topics", "nonsense"]])
def test_words_that_are_no_command_end_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said_by(*words, capsys=capsys)
    assert (code, out) == (2, "")
    assert "No such command 'nonsense'" in err


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if not one.replaces], ids=lambda one: one.name
)
def test_help_of_a_command_says_what_it_is_called_and_has_an_example(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said_by(*command.words, "--help", capsys=capsys)
    assert code == 0
    assert f"seatstream {command.name} " in out
    assert f"Example: seatstream {command.name}" in out


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if not one.replaces], ids=lambda one: one.name
)
def test_the_page_of_commands_names_the_options_that_help_names(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = said_by(*command.words, "--help", capsys=capsys)
    row = next(line for line in PAGE.splitlines() if f"`seatstream {command.name}`" in line)
    assert set(OPTION.findall(row)) == set(OPTION.findall(out)) - {"--help"}


def script(code: int, seen: list[Sequence[str]]) -> Command:
    """Return a command whose target gives its arguments to `seen` and ends with a code."""

    def main(arguments: Sequence[str]) -> int:
        seen.append(arguments)
        parser = parser_of("Bakes.", prog="bake")
        parser.add_argument("--loaves")
        parser.parse_args(arguments)
        return code

    globals()["_target"] = main
    return Command(("bake",), "Bakes.", f"{__name__}:_target", ("--loaves", "3"))


def test_a_command_that_is_handed_on_keeps_its_arguments_and_has_one_of_three_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Sequence[str]] = []
    command = script(3, seen)
    monkeypatch.setattr(program, "target_of", lambda _: globals()["_target"])
    assert program.handed_on(command, ["--loaves", "4"]) == 3
    assert program.handed_on(command._replace(codes=((3, 1),)), []) == 1
    assert seen == [["--loaves", "3", "--loaves", "4"], ["--loaves", "3"]]
    assert program.handed_on(command, ["--nonsense"]) == 2
    assert "usage: seatstream bake " in capsys.readouterr().err


def test_completion_offers_the_options_of_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    command = script(0, [])
    monkeypatch.setattr(program, "target_of", lambda _: globals()["_target"])
    shown = program.HandedOn(command)
    context = click.Context(shown)
    assert [one.value for one in shown.shell_complete(context, "--l")] == ["--loaves"]
    assert shown.shell_complete(context, "bread") == []


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (KeyboardInterrupt, 130, "stopped\n"),
        (click.Abort, 130, "stopped\n"),
        (click.ClickException("no broker"), 2, "Error: no broker\n"),
        (SystemExit(1), 1, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("why"), 2, ""),
        (
            ModuleNotFoundError("none", name="avro"),
            2,
            "needs the package avro, which is not here\n",
        ),
        # Nothing was found: nobody knows what was.
        (ValueError("our mistake"), 2, "ValueError: our mistake\n"),
    ],
)
def test_however_a_command_ends_the_code_says_it(
    raised: BaseException,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def main(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(program.program, "main", main)
    assert program.run([]) == code
    assert capsys.readouterr().err.endswith(told)


def test_whoever_reads_may_stop_reading() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "scripts.program", "topology", "--format", "mermaid"],
            cwd=ROOT,
            env=child_environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert "Traceback" not in done.stderr
    # Not 0: what it was to do after that it has not done.
    assert done.returncode == 130


def test_who_reads_no_further_ends_a_command_as_ctrl_c_does() -> None:
    """Click's own code for it is the one by which a command says that it found something."""
    gone, lines = os.pipe()
    os.close(gone)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "scripts.program", "topology"],
            check=False,
            stdout=lines,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(lines)
    assert (ended.returncode, ended.stderr) == (130, b"")
