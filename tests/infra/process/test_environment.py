"""An environment variable is what its parser makes of it, or refused by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.process.environment import (
    BadSetting,
    Environment,
    between,
    brokers,
    flag,
    host,
    megabytes,
    name,
    one_of,
    whole,
)


@given(st.integers(), st.integers(0, 10), st.integers(10, 20))
def test_a_whole_number_is_taken_between_its_bounds_and_nowhere_else(
    number: int, low: int, high: int
) -> None:
    read = Environment({"N": str(number)})
    if low <= number <= high:
        assert read("N", whole(low, high), 0) == number
    else:
        with pytest.raises(BadSetting, match=f"not between {low} and {high}"):
            read("N", whole(low, high), 0)


@pytest.mark.parametrize(
    ("parse", "good", "value"),
    [
        (brokers, "a:1, [::1]:2", "a:1,[::1]:2"),
        (host, "2001:db8::1", "2001:db8::1"),
        (name, "seats-0.zone_a", "seats-0.zone_a"),
        (flag, "Yes", True),
        (flag, "0", False),
        (between(0, 1), "0.5", 0.5),
        (megabytes, "3", 3 << 20),
        (one_of("a", "b"), "b", "b"),
    ],
)
def test_what_fits_is_read(parse: object, good: str, value: object) -> None:
    assert callable(parse)
    assert Environment({"X": good})("X", parse, None) == value


@pytest.mark.parametrize(
    ("parse", "bad"),
    [
        (brokers, "a"),
        (brokers, ":1"),
        (host, "http://a"),
        (host, "a b"),
        (name, "a/b"),
        (flag, "maybe"),
        (between(0, 1), "nan"),
        (megabytes, "0"),
        (one_of("a", "b"), "c"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(parse: object, bad: str) -> None:
    assert callable(parse)
    with pytest.raises(BadSetting, match="X="):
        Environment({"X": bad})("X", parse, None)


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Environment({"X": ""})("X", whole(1, 2), 7) == 7


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(BadSetting) as caught:
        Environment({"X": "hunter2"})("X", whole(1, 2), 7, is_secret=True)
    assert "hunter2" not in str(caught.value)


def test_what_nobody_read_is_refused_but_for_what_is_somebody_elses() -> None:
    read = Environment({"OUR_A": "1", "OUR_API_B": "1", "THEIRS": "1"})
    read("OUR_A", str, "")
    read.refuse_unknown("OUR_", foreign="OUR_API_")
    with pytest.raises(BadSetting, match="unknown setting OUR_API_B; known are OUR_A"):
        read.refuse_unknown("OUR_")
