"""The demo refuses arguments that do not fit before it starts anything."""

import pytest

from scripts.demo import arguments_of


@pytest.mark.parametrize(
    "argv",
    [
        ["--seats", "0"],
        ["--rate", "0"],
        ["--workers", "0"],
        ["--partitions", "0"],
        ["--partitions", "101"],
        ["--waiting-room", "--faults"],
        ["--waiting-room", "--seats", "1001"],
        ["--summary", "/nowhere/at/all/x"],
        ["--redis-keys", "/nowhere/x"],
    ],
)
def test_arguments_that_do_not_fit_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments_of(argv)
    assert ended.value.code == 2
