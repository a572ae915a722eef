"""An environment variable is what its parser makes of it, or refused by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    setting,
    whole,
)


def read_one(text: str, parse: Callable[[str], object]) -> object:
    """Return what one variable X is read as; raise BadSetting where it is refused."""
    read = Environment({"X": text})
    value = read("X", parse, None)
    read.check()
    return value


def read_secret(parse: Callable[[str], object], **environ: str) -> object:
    """Return what the secret X is read as, by itself or from its file."""
    read = Environment(environ)
    value = read.secret("X", parse, None)
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


@pytest.mark.parametrize("by", ["X", "X_FILE"])
def test_a_secret_is_not_repeated(tmp_path: Path, by: str) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    told = {"X": "hunter2"} if by == "X" else {"X_FILE": str(tmp_path / "secret")}

    def refuse(text: str) -> object:
        raise ValueError(f"{text} is no number")

    with pytest.raises(BadSetting, match=f"{by}: ... is no number") as caught:
        read_secret(refuse, **told)
    assert "hunter2" not in str(caught.value)


def test_a_secret_stands_in_its_variable_or_in_a_file_and_not_in_both(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" hunter2 \n")
    assert read_secret(str, X_FILE=str(path)) == " hunter2 "
    assert read_secret(str, X="hunter2", X_FILE="") == "hunter2"
    assert read_secret(str) is None
    with pytest.raises(BadSetting, match="X and X_FILE are both set: unset one of them"):
        read_secret(str, X="hunter2", X_FILE=str(path))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", None])
def test_a_file_that_holds_no_secret_is_refused_by_its_variable(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSetting, match="X_FILE="):
        read_secret(str, X_FILE=str(path))


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


@dataclass(frozen=True, slots=True)
class Oven:
    heat: int = setting("OVEN_HEAT", whole(1, 300), 180)
    key: str = setting("OVEN_KEY", str, "", is_secret=True)
    door: str = "closed"


def test_settings_are_read_by_what_their_fields_say_and_a_secret_is_not_shown() -> None:
    assert Oven(**Environment({}).values_of(Oven)) == Oven() == Oven(180, "", "closed")
    read = Environment({"OVEN_HEAT": "220", "OVEN_KEY": "hunter2", "OVEN_DOOR": "open"})
    oven = Oven(**read.values_of(Oven))
    assert oven == Oven(220, "hunter2", "closed")
    assert "hunter2" not in repr(oven)
    assert read.names == {"OVEN_HEAT", "OVEN_KEY", "OVEN_KEY_FILE"}


def test_a_setting_that_cannot_be_used_is_refused_by_its_variable() -> None:
    read = Environment({"OVEN_HEAT": "301"})
    assert read.values_of(Oven) == {"heat": 180, "key": ""}
    with pytest.raises(BadSetting, match="OVEN_HEAT='301': not between 1 and 300"):
        read.check()
