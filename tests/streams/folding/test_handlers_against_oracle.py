"""The handlers, run by the topology driver in batches of any size, do what the oracle expects."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.logs.audit_logs import START_MS, RandomBuyers, identity, open_section, row_plan
from support.logs.driven_logs import ID_BY_NAME, drawn, log_of_driver

from schemas.topics import SECTION_COMMANDS
from scripts.auditing.checks import audit
from scripts.auditing.report import Report
from streams.driver import PipedRecord


def judged(seed: int, count: int, partitions: int) -> Report:
    return audit(log_of_driver(drawn(seed, count, partitions), random.Random(seed)))


@settings(max_examples=of_whole(25))
@given(st.integers(0, 1_000_000))
def test_handlers_and_oracle_agree_to_the_byte(seed: int) -> None:
    report = judged(seed, 300, 3)
    assert report.first_by_invariant() == {}


def test_a_hold_lapses_even_when_an_earlier_one_lapsed_in_the_same_batch() -> None:
    buyers = RandomBuyers(0, 1, ids=ID_BY_NAME)
    section = open_section("S0", 7, [row_plan("1", 8)])
    inputs = [(0, buyers.send("OpenSection", section))]
    for at_ms, name in ((0, "r1"), (10_100, "r2")):
        hold = {"request": identity(name, "u", "S0", 7), "seatCount": 2}
        inputs.append((at_ms, buyers.send("HoldBestAvailable", hold)))
        tick_ms = at_ms + 10_050
        tick = buyers.value_of("Tick", {"timerMs": START_MS + tick_ms})
        inputs.append((tick_ms, (0, b"tick", tick, 0)))
    records = [
        PipedRecord(SECTION_COMMANDS.name, 0, offset, START_MS + at_ms, key, value)
        for offset, (at_ms, (_, key, value, _)) in enumerate(inputs)
    ]
    # One batch up to the second hold, then the tick that must end it.
    log = log_of_driver({0: records}, Batches(4, 1))
    report = audit(log)
    assert report.is_exact
    assert report.reasons["ReservationReleased"] == 2
    assert report.free == 8


def test_s3_8_both_forget_the_seats_of_a_list_that_no_section_takes() -> None:
    buyers = RandomBuyers(0, 1, ids=ID_BY_NAME)
    inputs = [buyers.send("OpenSection", open_section("S0", 7, [row_plan("1", 60)]))]
    for name, listed in (("r1", 16), ("r2", 17), ("r2", 17), ("r2", 16), ("r3", 5_000)):
        hold = {
            "request": identity(name, "u", "S0", 7),
            "seatCount": listed,
            "seats": [{"row": 0, "seat": at % 60} for at in range(listed)],
        }
        inputs.append(buyers.send("HoldChosenSeats", hold))
    records = [
        PipedRecord(SECTION_COMMANDS.name, 0, offset, START_MS, key, value)
        for offset, (_, key, value, _) in enumerate(inputs)
    ]
    report = audit(log_of_driver({0: records}, Batches(3, 3)))
    assert report.first_by_invariant() == {}
    assert report.reasons["BAD_COUNT"] >= 3


class Batches(random.Random):
    """Gives batch sizes as they are listed."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(0)
        self.sizes = list(sizes)

    def randint(self, a: int, b: int) -> int:  # noqa: ARG002
        return self.sizes.pop(0)
