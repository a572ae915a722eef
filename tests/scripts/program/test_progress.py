"""Long work has a bar on a terminal and plain lines elsewhere; what nobody started is silent."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.program.progress import CLEAR, DRAWN_S, LINES_S, WIDTH, Progress, progress, shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_terminal_has_a_bar_that_is_gone_when_the_work_is_done() -> None:
    terminal, clock = Terminal(), Clock()
    told = Progress("sections", terminal, clock)
    clock.now_s = 2.0
    told(50, 100)
    assert terminal.getvalue() == f"{CLEAR}[{'#' * 15}{'.' * 15}] sections: 50 of 100, 25/s"
    told.end()
    assert terminal.getvalue().endswith(f"/s{CLEAR}")


def test_work_of_unknown_size_has_a_number() -> None:
    terminal, clock = Terminal(), Clock()
    told = Progress("records", terminal, clock)
    clock.now_s = 1.0
    told(1_234, 0)
    assert terminal.getvalue() == f"{CLEAR}records: 1,234, 1,234/s"


def test_a_file_has_plain_lines_now_and_then_and_a_last_one() -> None:
    file, clock = io.StringIO(), Clock()
    told = Progress("records", file, clock)
    for second in range(12):
        clock.now_s = float(second)
        told(second * 10, 120)
    told(120, 120)
    told.end()
    assert file.getvalue().splitlines() == [
        "records: 50 of 120, 10/s",
        "records: 100 of 120, 10/s",
        "records: 120 of 120, 11/s",
    ]


@pytest.mark.parametrize(("stream", "pause"), [(Terminal(), DRAWN_S), (io.StringIO(), LINES_S)])
def test_work_that_is_done_at_once_says_nothing(stream: io.StringIO, pause: float) -> None:
    clock = Clock()
    told = Progress("records", stream, clock)
    clock.now_s = pause / 2
    told(1, 1)
    told.end()
    assert stream.getvalue() == ""


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 10**9), st.integers(0, 10**9))),
    st.sampled_from([Terminal, io.StringIO]),
)
def test_whatever_is_told_a_bar_has_its_width_and_a_file_nothing_that_a_terminal_obeys(
    said: list[tuple[float, int, int]], kind: type[io.StringIO]
) -> None:
    stream, clock = kind(), Clock()
    told = Progress("records", stream, clock)
    for later, done, total in said:
        clock.now_s += later
        told(done, total)
    told.end()
    written = stream.getvalue()
    if kind is Terminal:
        bars = [one.split("]")[0] for one in written.split("[")[1:] if one[:1] in "#."]
        assert all(len(bar) == WIDTH for bar in bars)
    else:
        assert written.replace("\n", "").isprintable()


def test_only_what_a_person_started_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.program.progress.LINES_S", 0.0)
    with progress("records") as told:
        told(1, 2)
    assert capsys.readouterr() == ("", "")
    with shown(), progress("records") as told:
        told(1, 2)
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[-1].split(",")[0]) == ("", "records: 1 of 2")
