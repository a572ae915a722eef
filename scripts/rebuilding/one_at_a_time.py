"""Tells an operator at once that somebody is making the same thing anew already.

A lease in Redis tells that, and spares work: without it, or without Redis, a rebuild is as right.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import click

from infra.process.environment import Environment
from infra.process.settings import SharedSettings
from scripts.command_line import printable
from scripts.letters.wanted import as_time
from scripts.program.options import somebody
from state.redis.keys import lease_of_rebuild
from state.redis.lease import Lease, Leases
from state.redis.redlock import GONE

LEASE_MS: Final = 30_000
_EVERY_S: Final = 5.0
_LONGEST_END_S: Final = 10.0


class SomebodyIsAtIt(Exception):
    """Another operator makes the same anew; the message says who, and since when.

    Operator action: wait for the end, or stop that process and run this again.
    """


def lease_servers(url: str = "") -> tuple[str, ...]:
    """Return where leases lie, as workers and pods have it; raises BadSetting.

    url: of the Redis that is used instead of REDIS_URL.
    """
    read = Environment(os.environ)
    settings = SharedSettings.read(read)
    read.check()
    return settings.lease_urls or ((url,) if url else settings.lease_servers)


@contextmanager
def alone(what: str, *urls: str) -> Iterator[None]:
    """Have the lease of a rebuild meanwhile; raises SomebodyIsAtIt where another has it.

    what: is made anew. urls: of one Redis, or of several independent ones; none for no Redis. One
    that does not answer is told of, and hinders nobody.
    """
    if not urls:
        yield
        return
    keeper = _Keeper(what, urls)
    keeper.start()
    try:
        keeper.is_begun.wait()
        if keeper.holder is not None:
            raise SomebodyIsAtIt(
                f"somebody is making {what} anew: {keeper.holder or 'unknown'}. Wait for the end,"
                f" or stop that; where it was killed, run this again in {LEASE_MS // 1000} s"
            )
        yield
    finally:
        keeper.end()


class _Keeper(threading.Thread):
    """Holds the lease until it is told to end, while the command does its work.

    is_begun: Redis was asked once. holder: who has the lease instead, as it is told; None for
              nobody.
    """

    def __init__(self, what: str, urls: Sequence[str]) -> None:
        super().__init__(name="rebuild: lease", daemon=True)
        since = as_time(time.time_ns() // 1_000_000)
        self._what = what
        self._who = f"{somebody()} at {socket.gethostname()} since {since}"
        self._urls = urls
        self._is_over = threading.Event()
        self._is_told = False
        self.is_begun = threading.Event()
        self.holder: str | None = None

    def run(self) -> None:
        """Hold the lease until the end; Redis is asked in this thread alone."""
        try:
            with asyncio.Runner() as runner:
                self._keep(runner)
        except Exception as error:  # noqa: BLE001  (no error of a lease ends a rebuild, or is hidden)
            self._tell(error)
        finally:
            self.is_begun.set()

    def end(self) -> None:
        """Give the lease up; one that Redis does not take back ends by itself."""
        self._is_over.set()
        self.join(_LONGEST_END_S)

    def _keep(self, runner: asyncio.Runner) -> None:
        leases = Leases(self._urls)
        lease = leases.of(lease_of_rebuild(self._what), LEASE_MS, who=self._who)
        try:
            if self._ask(runner, lease) is False:
                # Somebody has it, also where nobody tells who.
                self.holder = ""
                self.holder = printable(runner.run(lease.holder()))
            self.is_begun.set()
            while self.holder is None and not self._is_over.wait(_EVERY_S):
                if self._ask(runner, lease) is False:
                    self._tell("somebody else has the lease now")
        finally:
            with suppress(*GONE):
                runner.run(lease.give_up())
            runner.run(leases.close())

    def _ask(self, runner: asyncio.Runner, lease: Lease) -> bool | None:
        """Say whether the lease is ours; None where nobody tells, whatever the reason."""
        try:
            return runner.run(lease.hold())
        except Exception as error:  # noqa: BLE001  (it is asked for again, whatever was wrong)
            self._tell(error)
            return None

    def _tell(self, why: Exception | str) -> None:
        """Say once that the lease tells others nothing: the journal tells who is later."""
        if self._is_told:
            return
        self._is_told = True
        if isinstance(why, GONE):
            why = f"Redis does not answer ({type(why).__name__}: {why})"
        elif isinstance(why, Exception):
            why = f"the lease could not be kept ({type(why).__name__}: {why})"
        click.echo(f"{printable(why)}: nobody else is told that you are at it; going on", err=True)
