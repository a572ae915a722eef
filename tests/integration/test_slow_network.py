"""F22: requests that are late, or that nobody answers; the brokers act on them all the same.

And a worker that gets nothing to do though there is something: `/live` fails, which ends it.
"""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.empty_fetches import empty_fetches
from faults.proxy import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Proxy,
    broker_behind_proxy,
    brokers_behind_proxies,
)
from integration.conftest import FAST_SESSIONS
from integration.workers import ENDED_ITSELF, Fleet, leader_of

from infra.stack import QUICK_RESTART
from infra.stack.processes import wait_until
from streams.settings import REQUEST_TIMEOUT_MS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

LATE_S = REQUEST_TIMEOUT_MS / 1000 + 2


@pytest.fixture(scope="module")
def slow_link() -> Iterator[Proxy]:
    """Give a proxy whose port is the only address that its broker tells clients."""
    with broker_behind_proxy("tests-slow", {**QUICK_RESTART, **FAST_SESSIONS}) as (_, proxy):
        yield proxy


def fleet_behind(proxy: Proxy, prefix: str, directory: Path, **environment: str) -> Fleet:
    directory.mkdir()
    fleet = Fleet(f"{proxy.host}:{proxy.port}", prefix, directory, 4, environment)
    fleet.create_topics()
    return fleet


class Once:
    """Holds one request back for each fleet: the first of its kind after `armed` is set."""

    def __init__(self, late: dict[bytes, int]) -> None:
        self.armed = False
        self._late = late
        self._lock = threading.Lock()

    @property
    def is_done(self) -> bool:
        """Say whether a request of each is held back, or was."""
        return not self._late

    def __call__(self, key: int, request: bytes) -> float:
        if not self.armed:
            return 0.0
        with self._lock:
            for prefix, late_key in self._late.items():
                if key == late_key and prefix in request[:300]:
                    del self._late[prefix]
                    return LATE_S
        return 0.0


def test_f22_a_request_that_lands_after_its_time_becomes_visible_once_or_never(
    slow_link: Proxy, topic_prefix: str, tmp_path: Path
) -> None:
    late = {
        "produce": PRODUCE,
        "add-partitions": ADD_PARTITIONS_TO_TXN,
        "add-offsets": ADD_OFFSETS_TO_TXN,
        "commit-offsets": TXN_OFFSET_COMMIT,
        "end": END_TXN,
    }
    # Side by side, because each of them waits for a request to time out.
    fleets = {
        name: fleet_behind(
            slow_link,
            f"{topic_prefix}{name}-",
            tmp_path / name,
            SEATSTREAM_STATIC_MEMBERSHIP="1",
            SEATSTREAM_SESSION_TIMEOUT_S="20",
        )
        for name in late
    }
    once = Once({f"{topic_prefix}{name}-app-".encode(): key for name, key in late.items()})
    slow_link.delay_s = once
    try:
        workers = {name: fleet.worker("one").start() for name, fleet in fleets.items()}
        for worker in workers.values():
            worker.wait_ready()
        for fleet in fleets.values():
            fleet.produce(500)
        for fleet in fleets.values():
            fleet.settle()
        once.armed = True
        for fleet in fleets.values():
            fleet.produce(500, seed=2)
        for name, worker in workers.items():
            assert worker.ended(LATE_S + 60) == ENDED_ITSELF, name
            assert "FateUnknown" in worker.output(), name
            worker.start()
        # The late request arrives while its successor works.
        for number in range(20):
            for fleet in fleets.values():
                fleet.produce(50, seed=3 + number)
        for name, fleet in fleets.items():
            fleet.settle(LATE_S + 60)
            assert fleet.verify() == 2_000, name
    finally:
        slow_link.delay_s = lambda _key, _request: 0.0
        for fleet in fleets.values():
            fleet.stop()


def test_f22_a_slow_link_and_kills_lose_and_double_nothing(
    slow_link: Proxy, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(
        slow_link,
        topic_prefix,
        tmp_path / "fleet",
        SEATSTREAM_TRANSACTION_RECORDS="500",
        SEATSTREAM_STATIC_MEMBERSHIP="1",
        SEATSTREAM_SESSION_TIMEOUT_S="10",
    )
    chance = random.Random(22)
    mine = f"{topic_prefix}app-".encode()

    def delay_s(_key: int, request: bytes) -> float:
        if mine in request[:300] and chance.random() < 0.2:
            return chance.uniform(0.02, 0.4)
        return 0.0

    slow_link.delay_s = delay_s
    try:
        worker = fleet.worker("one").start().wait_ready()
        with fleet.load(2_000) as sent:
            until_s = time.monotonic() + 8
            while time.monotonic() < until_s:
                at_s = time.monotonic() + chance.uniform(0.2, 2.0)
                wait_until(lambda at_s=at_s: time.monotonic() > at_s, 3)  # type: ignore[misc]
                worker.kill()
                if chance.random() < 0.3:
                    worker.wipe()
                worker.start().wait_ready()
        fleet.settle()
        assert fleet.verify() == sent()
    finally:
        slow_link.delay_s = lambda _key, _request: 0.0
        fleet.stop()


def test_f22_a_slow_changelog_leader_among_three_brokers_and_kills_lose_and_double_nothing(
    topic_prefix: str, tmp_path: Path
) -> None:
    """The others, transaction coordinators among them, answer at once: all comes out of step."""
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with brokers_behind_proxies("tests-slow-leader", properties) as (_, proxies):
        fleet = fleet_behind(
            proxies[1],
            topic_prefix,
            tmp_path / "fleet",
            SEATSTREAM_TRANSACTION_RECORDS="500",
            SEATSTREAM_STATIC_MEMBERSHIP="1",
            SEATSTREAM_SESSION_TIMEOUT_S="10",
        )
        slow = proxies[leader_of(fleet.brokers, fleet.topics.changelog)]
        changelog = fleet.topics.changelog.encode()
        chance, late = random.Random(22), Once({f"{topic_prefix}app-".encode(): PRODUCE})

        def delay_s(key: int, request: bytes) -> float:
            if key != PRODUCE or changelog not in request:
                return 0.0
            return late(key, request) or (chance.random() < 0.2) * chance.uniform(0.02, 0.4)

        slow.delay_s = delay_s
        try:
            worker = fleet.worker("one").start().wait_ready()
            with fleet.load(1_000) as sent:
                late.armed = True
                assert wait_until(lambda: late.is_done, 60), worker.tail()
                lands_s = time.monotonic() + LATE_S
                # What is held lands when others have taken over, restored and gone on.
                while time.monotonic() < lands_s + 1:
                    worker.kill()
                    if chance.random() < 0.3:
                        worker.wipe()
                    worker.start().wait_ready()
                    at_s = time.monotonic() + chance.uniform(0.2, 2.0)
                    wait_until(lambda at_s=at_s: time.monotonic() > at_s, 3)  # type: ignore[misc]
            fleet.settle()
            assert fleet.verify() == sent()
        finally:
            fleet.stop()


def test_live_fails_while_a_partition_stands_still_and_a_restart_makes_it_well(
    slow_link: Proxy, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(slow_link, topic_prefix, tmp_path / "fleet", SEATSTREAM_STALL_S="2")
    try:
        worker = fleet.worker("one").start().wait_ready()
        fleet.produce(500)
        fleet.settle()
        assert wait_until(lambda: worker.page("/live")[0] == 200, 60)
        slow_link.rewrite = empty_fetches(fleet.topics.words)
        fleet.produce(500, seed=2)

        def is_told() -> bool:
            status, why = worker.page("/live")
            return status == 503 and fleet.topics.words in why

        assert wait_until(is_told, 60), worker.tail()
        slow_link.rewrite = lambda _asked, answer: answer
        # What a supervisor does with a worker that is not alive.
        worker.kill()
        worker.start().wait_ready()
        fleet.settle()
        assert wait_until(lambda: worker.page("/live")[0] == 200, 60)
        assert fleet.verify() == 1_000
    finally:
        slow_link.rewrite = lambda _asked, answer: answer
        fleet.stop()
