"""Workers whose clock is wrong, and append times that jump, on a real broker."""

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from faults.wrong_clock import WrongClock
from integration.conftest import FAST_SESSIONS
from integration.seat_workers import Seats
from integration.workers import ENDED_ITSELF
from support.seats.section_commands import PARTITIONS, B, hold, open_section, sections_of

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

HOUR_MS = 3_600_000
DOUBT = "this worker's clock and the brokers' are more than 5 s apart"


@pytest.fixture(scope="module")
def seats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seats]:
    with ephemeral_stack(
        "tests-clocks",
        parts={"kafka"},
        kafka_properties={**QUICK_RESTART, **FAST_SESSIONS},
        fast_jit=True,
    ) as stack:
        seats = Seats(stack.kafka_brokers, tmp_path_factory.mktemp("clocks"))
        seats.create_topics()
        try:
            yield seats
        finally:
            seats.stop()


@pytest.mark.parametrize("error_ms", [-HOUR_MS, HOUR_MS], ids=["slow", "fast"])
def test_s5_a_worker_whose_clock_is_an_hour_off_does_not_start(
    seats: Seats, error_ms: int, tmp_path: Path
) -> None:
    clock = WrongClock(tmp_path / "clock")
    clock.shift(error_ms)
    worker = seats.worker(f"off{error_ms}", **clock.environment).start("topology")
    assert worker.ended() == ENDED_ITSELF
    assert DOUBT in worker.output()
    told_s = [float(one) for one in re.findall(r"[+-]\d+\.\d", worker.output())]
    assert any(abs(one + error_ms / 1000) < 60 for one in told_s), worker.tail()


def test_s5_a_worker_whose_clock_steps_back_ends_and_its_holds_lapse_at_the_next_one(
    seats: Seats, tmp_path: Path
) -> None:
    clock = WrongClock(tmp_path / "clock")
    slow = seats.worker("slow", **clock.environment).start("topology").wait_ready()
    seats.send(open_section("......", hold_ms=8_000), hold("s5-r1", 2))
    assert wait_until(lambda: seats.names("s5-r1")[:1] == ["SeatsHeld"], 60)
    clock.shift(-HOUR_MS)
    assert slow.ended() == ENDED_ITSELF
    assert DOUBT in slow.output()
    right = seats.worker("right").start("topology").wait_ready()
    assert wait_until(lambda: len(seats.names("s5-r1")) == 2, 60), right.tail()
    assert seats.outcomes("s5-r1")[1].cause == 2
    assert right.terminate() == 0


def test_f74_when_one_of_two_timers_dies_every_hold_lapses_all_the_same(seats: Seats) -> None:
    one, two = (seats.worker(name).start("topology") for name in ("one", "two"))
    for worker in (one, two):
        worker.wait_ready()
    assert wait_until(lambda: one.metric("seatstream_partitions_owned") == PARTITIONS / 2, 60)
    sections = [sections_of(partition, 4)[3] for partition in range(PARTITIONS)]
    # All at once: nothing lapses before the worker dies.
    seats.send(
        *(open_section("......", section=name, hold_ms=2_000) for name in sections),
        *(hold(f"f74-{name}", 2, section=name) for name in sections),
    )
    one.kill()
    for name in sections:
        expected = ["SeatsHeld", "ReservationReleased"]
        assert wait_until(partial(_was_told, seats, f"f74-{name}", expected), 60), two.tail()
    assert two.terminate() == 0


def _was_told(seats: Seats, reservation: str, names: list[str]) -> bool:
    return seats.names(reservation) == names


def test_c6_append_times_an_hour_ahead_close_no_sale_and_end_no_hold(seats: Seats) -> None:
    # Ticks are far apart, so that the jump is seen before one follows.
    worker = seats.worker("jump", SEATSTREAM_TICK_MS="5000").start("topology").wait_ready()
    now_ms = int(time.time() * 1000)
    ends_ms = now_ms + HOUR_MS // 2
    opening = open_section("......", section=B, hold_ms=1_800_000, ends_ms=ends_ms)
    seats.send(opening, hold("c6-r1", 2, section=B))
    assert wait_until(lambda: seats.names("c6-r1") == ["SeatsHeld"], 60)
    with seats.forged_append_times():
        jumped_ms = now_ms + HOUR_MS
        seats.send(hold("c6-r2", 2, section=B), appended_ms=jumped_ms)
        assert wait_until(lambda: seats.names("c6-r2") != [], 60)
        held = seats.outcomes("c6-r2")[0]

        def is_told() -> bool:
            seats.send(hold("c6-r2", 2, section=B), appended_ms=jumped_ms)
            return _paused(worker.page("/ready")[1])

        assert wait_until(is_told, 60)
    assert held.name == "SeatsHeld"
    assert now_ms <= held.decidedAtMs < now_ms + HOUR_MS // 4
    assert worker.is_alive()
    seats.send(hold("c6-r3", 1, section=B))
    assert wait_until(lambda: seats.names("c6-r3") == ["SeatsHeld"], 60)
    assert seats.names("c6-r1") == ["SeatsHeld"]
    assert worker.terminate() == 0


def _paused(page: str) -> bool:
    return bool(page and json.loads(page)["time_paused_s"])
