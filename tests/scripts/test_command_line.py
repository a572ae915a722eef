"""Help is a script's docstring; who is stopped ends with a word, others keep their code."""

from argparse import ArgumentTypeError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.command_line import above_zero, parser_of, printable, until_stopped


def test_help_has_the_lines_of_the_docstring_and_of_the_epilog_as_they_are() -> None:
    told = parser_of(
        "Bakes.\n\n    bake --loaves 3\n", prog="bake", epilog="codes:\n  0  baked"
    ).format_help()
    assert told.startswith("usage: bake ")
    assert "Bakes.\n\n    bake --loaves 3\n" in told
    assert told.endswith("codes:\n  0  baked\n")
    assert parser_of(None).description is None


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_code_of_a_script_is_kept(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert until_stopped(lambda: code) == code
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_is_one_word_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> int:
        raise KeyboardInterrupt

    assert until_stopped(stopped) == 130
    assert capsys.readouterr() == ("", "stopped\n")


@given(st.text())
def test_nothing_steers_a_terminal(said: str) -> None:
    assert printable(said).isprintable()


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "\x1b[2J"])
def test_a_count_is_a_whole_number_above_zero(text: str) -> None:
    assert above_zero("20") == 20
    with pytest.raises(ArgumentTypeError, match="no whole number above 0") as refused:
        above_zero(text)
    assert str(refused.value).isprintable()
