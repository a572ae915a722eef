"""A line, a narrow and a wide table show the same figures."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from scripts.sale.table import Figures, as_line, as_table


def test_line_and_table_show_the_same_figures(tmp_path: Path) -> None:
    figures = Figures(12.0, 80, 1, 2, 52451, 2600.4, 17.0, 5, (310.6, 42.0, 3))
    line = as_line(figures)
    assert "free 1  held 2  sold 52451  decisions/s 2600  p99 17 ms  lag 5" in line
    assert "http/s 311  p99 42 ms  stale 3" in line
    assert "http" not in as_line(replace(figures, http=None))
    shown = printed(figures, columns=140)
    for cell in ("80", "52,451", "2,600", "17 ms", "311", "42 ms"):
        assert cell in shown


def printed(figures: Figures, columns: int) -> str:
    console = Console(file=io.StringIO(), width=columns)
    console.print(as_table(figures))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_i7_a_terminal_of_80_columns_shows_all_that_a_wide_one_shows() -> None:
    """With the largest arena that may be asked for, a broker that stands and a busy pod."""
    figures = Figures(
        86_399.0, 99_999, 2_000_000, 2_000_000, 2_000_000, 100_000, 99_999, 999_999,
        (99_999.0, 99_999.0, 999_999),
    )  # fmt: skip
    for shown in (figures, replace(figures, http=None)):
        narrow, wide = (printed(shown, columns).split() for columns in (80, 200))
        assert narrow == wide
