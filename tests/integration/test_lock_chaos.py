"""Locks deleted, granted twice and frozen under a sale: the audit of everything stays exact (L30).

The nemesis deletes a random lock every 100 ms, which also gives it to a second owner; of new locks
it deletes one in a hundred at once; now and then Redis stands still, or is emptied.
"""

import logging
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError

from infra.paths import ROOT
from infra.stack.processes import wait_until
from state.redis.keys import ALL_LOCKS

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.soak, pytest.mark.timeout(900)]

EVERY_S = 0.1
# Most locks are there for less than that: those of a refused hold, or of one that is paid at once.
LOOKS_S = 0.01
log = logging.getLogger(__name__)
PORT = re.compile(r"127\.0\.0\.1:(\d+)")


class Nemesis:
    """What befalls locks of a sale. done: how often, by what; and how many were seen."""

    def __init__(self, url: str, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._redis = Redis.from_url(url)
        self._draw = random.Random(seed)
        self._there = set[bytes]()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        self._redis.close()

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._is_over.wait(LOOKS_S):
            # It ends with the sale.
            with suppress(RedisError):
                locks = self._look()
                if time.monotonic() >= next_s:
                    next_s = time.monotonic() + EVERY_S
                    self._strike(locks)

    def _look(self) -> list[bytes]:
        """Return the locks that there are; of the new ones one in a hundred is deleted at once."""
        locks = sorted(self._redis.scan_iter(ALL_LOCKS, count=1_000))
        for lock in sorted({*locks} - self._there):
            self.done["seen"] += 1
            if self._draw.random() < 0.01:
                self.done["granted twice"] += int(self._redis.delete(lock))
        self._there = {*locks}
        return locks

    def _strike(self, locks: list[bytes]) -> None:
        if locks:
            self.done["deleted"] += int(self._redis.delete(self._draw.choice(locks)))
        chance = self._draw.random()
        if chance < 0.02:
            self._redis.client_pause(300)
            self.done["frozen"] += 1
        elif chance < 0.03:
            self._redis.flushall()
            self.done["emptied"] += 1


def redis_of(demo: "subprocess.Popen[bytes]") -> str:
    """Return the address of the Redis that a demo has started; empty while there is none."""
    with suppress(psutil.Error):
        for child in psutil.Process(demo.pid).children(recursive=True):
            with suppress(psutil.Error):
                line = " ".join(child.cmdline())
                port = PORT.search(line)
                if port is not None and ("redis-server" in line or "valkey" in line):
                    return f"redis://127.0.0.1:{port[1]}/0"
    return ""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_l30_a_sale_is_exact_whatever_befalls_its_locks(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "scripts.demo", "--seats", "5000", "--seed", f"{seed}"]
    command += ["--summary", str(tmp_path / "summary.json")]
    with (tmp_path / "demo.log").open("wb") as told:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=told)
        try:
            assert wait_until(lambda: bool(redis_of(demo)) or demo.poll() is not None, 120)
            nemesis = Nemesis(redis_of(demo), seed)
            try:
                demo.wait(600)
            finally:
                nemesis.close()
        finally:
            if demo.poll() is None:
                demo.terminate()
                demo.wait(60)
    assert demo.returncode == 0, (tmp_path / "demo.log").read_text()
    # The demo ends well only where its audits of log and HTTP are exact, and all is sold.
    assert nemesis.done["deleted"] > 10, nemesis.done
    # What a soak has gone through: --log-cli-level=INFO shows it.
    log.info("%s %s", dict(nemesis.done), (tmp_path / "summary.json").read_text())
