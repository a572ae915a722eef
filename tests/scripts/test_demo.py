"""The demo refuses arguments that do not fit before it starts anything."""

import pytest

from scripts.demo import PARTITIONS, SEATS, arguments_of, size_of


@pytest.mark.parametrize(
    "argv",
    [
        ["--seats", "0"],
        ["--rate", "0"],
        ["--workers", "0"],
        ["--partitions", "0"],
        ["--partitions", "101"],
        ["--full", "--seats", "5000"],
        ["--waiting-room", "--faults"],
        ["--waiting-room", "--full"],
        ["--waiting-room", "--seats", "1001"],
        ["--summary", "/nowhere/at/all/x"],
        ["--redis-keys", "/nowhere/x"],
    ],
)
def test_arguments_that_do_not_fit_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments_of(argv)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("argv", "seats", "partitions"),
    [
        ([], SEATS, PARTITIONS),
        (["--seats", "50"], 50, PARTITIONS),
        (["--partitions", "3"], SEATS, 3),
        (["--full"], None, None),
        (["--full", "--partitions", "3"], None, 3),
    ],
)
def test_a_demo_is_small_unless_all_of_it_is_asked_for(
    argv: list[str], seats: int | None, partitions: int | None
) -> None:
    assert size_of(arguments_of(argv)) == (seats, partitions)
