"""A script that is stopped ends with a word; one that ends by itself keeps its code."""

import pytest

from scripts.stopping import until_stopped


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_code_of_a_script_is_kept(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert until_stopped(lambda: code) == code
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_is_one_word_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> int:
        raise KeyboardInterrupt

    assert until_stopped(stopped) == 130
    assert capsys.readouterr() == ("", "stopped\n")
