"""An environment variable is what its parser makes of it, or refused by its name."""

from collections.abc import Callable

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


def read_one(text: str, parse: Callable[[str], object], *, is_secret: bool = False) -> object:
    """Return what one variable X is read as; raise BadSetting where it is refused."""
    read = Environment({"X": text})
    value = read("X", parse, None, is_secret=is_secret)
    read.check()
    return value


@given(st.integers(), st.integers(0, 10), st.integers(10, 20))
def test_a_whole_number_is_taken_between_its_bounds_and_nowhere_else(
    number: int, low: int, high: int
) -> None:
    if low <= number <= high:
        assert read_one(str(number), whole(low, high)) == number
    else:
        with pytest.raises(BadSetting, match=f"not between {low} and {high}"):
            read_one(str(number), whole(low, high))


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
def test_what_fits_is_read(parse: Callable[[str], object], good: str, value: object) -> None:
    assert read_one(good, parse) == value


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
def test_what_does_not_fit_is_refused_by_name(parse: Callable[[str], object], bad: str) -> None:
    with pytest.raises(BadSetting, match="X="):
        read_one(bad, parse)


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Environment({"X": ""})("X", whole(1, 2), 7) == 7


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(BadSetting) as caught:
        read_one("hunter2", whole(1, 2), is_secret=True)
    assert "hunter2" not in str(caught.value)


def test_what_nobody_read_is_refused_but_for_what_is_somebody_elses() -> None:
    read = Environment({"OUR_A": "1", "OUR_API_B": "1", "THEIRS": "1"})
    read("OUR_A", str, "")
    read.refuse_unknown("OUR_", foreign="OUR_API_")
    read.check()
    read.refuse_unknown("OUR_")
    with pytest.raises(BadSetting, match="unknown setting OUR_API_B; known are OUR_A"):
        read.check()


def test_all_that_is_wrong_is_told_at_once_and_a_default_stands_for_it_until_then() -> None:
    read = Environment({"OUR_A": "x", "OUR_B": "2", "OUR_C": "", "OUR_D": "maybe", "OUR_E": "1"})
    assert [read("OUR_A", whole(1, 2), 1), read("OUR_B", whole(1, 2), 1)] == [1, 2]
    assert read("OUR_C", flag, False) is read("OUR_D", flag, False) is False
    read.refuse_unknown("OUR_")
    with pytest.raises(BadSetting) as caught:
        read.check()
    first, second, third = str(caught.value).splitlines()
    assert first.startswith("OUR_A='x': ")
    assert second == "OUR_D='maybe': use true or false"
    assert third == "unknown setting OUR_E; known are OUR_A, OUR_B, OUR_C, OUR_D"
