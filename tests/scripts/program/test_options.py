"""Commands fail with a line and 2, ask before they destroy, and show the steps first."""

import json

import click
import pytest

from scripts.program.options import command, confirmed, failing, is_all, resumable, somebody


class Trouble(Exception):
    pass


@failing(Trouble)
def broken(*, as_json: bool) -> int:
    raise Trouble("no broker")


def test_trouble_is_a_line_for_people() -> None:
    with pytest.raises(click.ClickException, match="no broker"):
        broken(as_json=False)


def test_trouble_is_an_object_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        broken(as_json=True)
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().out) == {"error": "no broker"}


def test_a_mistake_of_ours_is_not_hidden() -> None:
    @failing(Trouble)
    def wrong() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        wrong()


def test_nobody_who_can_be_asked_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    confirmed("Delete?", yes=True)
    with pytest.raises(click.ClickException, match="--yes"):
        confirmed("Delete?", yes=False)


def test_somebody_has_a_name() -> None:
    assert somebody()


def test_help_has_the_lines_of_the_docstring_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @command("bake")
    def bake() -> None:
        """Bake bread.

        Ends with 0.
        Example: seatstream bake
        """

    bake.main(["--help"], standalone_mode=False)
    assert (
        "\n  Bake bread.\n\n  Ends with 0.\n  Example: seatstream bake\n"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("dry_run", "as_json", "printed"),
    [
        (True, False, "delete\nverify\n"),
        (False, False, "delete\nverify\n"),
        (True, True, '{"steps": ["delete", "verify"]}\n'),
        (False, True, ""),
    ],
)
def test_steps_are_shown_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], *, dry_run: bool, as_json: bool, printed: str
) -> None:
    assert is_all(["delete", "verify"], dry_run=dry_run, as_json=as_json) is dry_run
    assert capsys.readouterr().out == printed


def test_who_stops_what_goes_on_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    @resumable
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "run it again: it goes on where it is\n")
