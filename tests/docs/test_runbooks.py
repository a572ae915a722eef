"""Pages for who is on call name every alarm, and no command or option that is not there."""

import re
from functools import cache
from pathlib import Path

import click
import pytest

from infra.paths import ROOT
from scripts.program.catalogue import COMMANDS, Command, command_at
from scripts.program.main import help_of, target_of

DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"
OF_THE_CHECKOUT = {"token", "topology"}
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.name != "decisions.md")
_COMMAND = re.compile(r"seatstream ((?:[a-z][a-z-]+ ?)+)([^`\n|]*)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
LONGEST = max(len(command.words) for command in COMMANDS)


@cache
def options_of(words: tuple[str, ...]) -> frozenset[str] | None:
    """Return the options of a command; None where another program reads them."""
    command = command_at(words)
    assert command is not None
    if command.replaces:
        return None
    if not command.is_ours:
        return frozenset(_OPTION.findall(help_of(command)))
    target: click.Command = target_of(command)
    return frozenset(name for one in target.params for name in one.opts) | {"--help"}


def told_on(page: Path) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return words and options of each command that a page shows as code."""
    code = "\n".join(
        once or block
        for block, once in re.findall(
            r"```[a-z]*\n(.*?)```|`([^`\n]+)`", page.read_text("utf-8"), re.DOTALL
        )
    )
    found = []
    for line in code.splitlines():
        for words, rest in _COMMAND.findall(line.split(" #")[0]):
            found.append((tuple(words.split()), _OPTION.findall(rest)))
    return found


def words_of(said: tuple[str, ...]) -> tuple[str, ...]:
    """Return those first words that are a command's; fails where none are."""
    counts = range(min(LONGEST, len(said)), 0, -1)
    words = next((said[:n] for n in counts if command_at(said[:n])), None)
    assert words is not None, f"seatstream {' '.join(said)}"
    return words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_with_these_options(page: Path) -> None:
    for said, options in told_on(page):
        words = words_of(said)
        known = options_of(words)
        assert known is None or not {*options} - known, (words, options)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_every_command_leads_to_a_page_that_shows_it(command: Command) -> None:
    rows = (DOCS / "commands.md").read_text("utf-8").splitlines()
    [row] = [one for one in rows if one.startswith(f"| `seatstream {command.name}` |")]
    [page] = re.findall(r"\]\(([^)#]+)[^)]*\) \|$", row)
    text = (DOCS / page).read_text("utf-8")
    if command.replaces or command.name in OF_THE_CHECKOUT:
        assert text
        return
    assert page.startswith("runbooks/")
    assert command.words in {words_of(said) for said, _ in told_on(DOCS / page)}


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.name)
def test_every_runbook_says_what_codes_or_words_mean_and_how_to_know_that_it_worked(
    page: Path,
) -> None:
    text = page.read_text("utf-8")
    assert re.search(r"^\|.*\|\n\|[ -|]+\|\n\|.*\|$", text, re.MULTILINE)
    endings = ("it worked", "it is over", "| Over |", "contradicts itself", "Exit code")
    assert any(ending in text for ending in endings)


def test_every_alarm_has_its_row() -> None:
    operations = (DOCS / "operations.md").read_text("utf-8")
    start = operations.index("Worth an alarm: ")
    alarms = set(re.findall(r"`([^`]+)`", operations[start : operations.index("\n\n", start)]))
    page = (DOCS / "runbooks" / "alarms.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    assert len(alarms) > 15
    assert not {alarm for alarm in alarms if not any(f"`{alarm}`" in row for row in rows)}


def test_every_row_says_what_to_do_and_how_to_know_that_it_is_over() -> None:
    page = (DOCS / "runbooks" / "alarms.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "---" not in line]
    assert all(len(row.split("|")) == 6 and all(row.split("|")[1:5]) for row in rows)


@pytest.mark.parametrize(
    ("metric", "most"),
    [
        ("seatstream_booking_queue_length", "50,000"),
        ("seatstream_booking_processing_duration_seconds", "10 for one in a hundred"),
        ("seatstream_lag_records", "10,000"),
    ],
)
def test_s004_19_alarms_ring_at_the_figures_of_the_document(metric: str, most: str) -> None:
    page = (DOCS / "runbooks" / "alarms.md").read_text("utf-8")
    alarms = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert [one for one in alarms if one.startswith(f"`{metric}` above {most}")]
