"""What is being decided outlives the process that decides it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.transactions.deciding import Deciding, Stretch

offsets = st.integers(0, 2**63 - 1)
# Kafka's longest name of a topic, with a number behind it.
places = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=260)


@given(places, offsets, offsets)
def test_the_next_process_finds_what_the_last_one_was_deciding(
    tmp_path_factory: pytest.TempPathFactory, place: str, first: int, last: int
) -> None:
    path = tmp_path_factory.mktemp("page") / "deciding"
    stretch = Stretch(place, first, last)
    Deciding(path).begin(stretch)
    assert Deciding(path).left == stretch


def test_what_was_decided_in_time_is_left_to_nobody(tmp_path: Path) -> None:
    page = Deciding(tmp_path / "deciding")
    with page:
        page.begin(Stretch("in-0", 1, 2))
    assert Deciding(tmp_path / "deciding").left is None


def test_an_exception_is_no_death_without_a_word(tmp_path: Path) -> None:
    page = Deciding(tmp_path / "deciding")

    def decide() -> None:
        with page:
            page.begin(Stretch("in-0", 1, 2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        decide()
    assert Deciding(tmp_path / "deciding").left is None


def test_what_a_process_left_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "deciding"
    Deciding(path).begin(Stretch("in-0", 1, 2))
    assert Deciding(path).left is not None
    assert Deciding(path).left is None


def test_a_file_of_another_size_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "deciding"
    path.write_bytes(b"")
    assert Deciding(path).left is None
    path.write_bytes(b"\0" * 10_000)
    assert Deciding(path).left is None
