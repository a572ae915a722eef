"""Measure payments on a real broker with a mock gateway, all started for the purpose.

Scenarios (all, without any named):
  settled   a backlog of payments at a gateway that answers after 0 ms, 300 ms and 3 s, with so
            many calls under way: payments settled a second, processor time of each
  paced     start -> seats sold, at the same gateways, at a rate below that
  burst     100, 1,000 and 5,000 users who begin to pay within a second, with 512 calls under way:
            how long each waits until the seats are sold
  accepted  `POST /v1/reservations/{id}/payments` until 202, while no worker runs

One worker plays all roles. Every figure is the median of the runs, with the least and the most.
Nothing is asserted; targets stand beside the figures. The machine should do nothing else
meanwhile.

Example: .venv/bin/python -m benchmarks.payments settled --runs 3 --out /tmp/payments.json
"""

import argparse
import shutil
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

from benchmarks.measuring import bench as measuring
from benchmarks.measuring.figures import Run, Scenario, Target
from benchmarks.payment_runs.accepting import measure_accepted
from benchmarks.payment_runs.settling import (
    backlog_of,
    measure_burst,
    measure_paced,
    measure_settled,
)
from benchmarks.payment_runs.till import Till
from benchmarks.pod_runs.api_pod import ApiPod, BenchOfUsers, BrokerOfUsers
from benchmarks.pod_runs.arena import Arena
from benchmarks.seat_runs.seen import wait_seen

PRICE = 4_500


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    sections:    of 5,000 seats each.
    delays_ms:   of the gateway, one after the other.
    calls:       most calls under way, one after the other; the first is the workers' own default.
    backlog:     most payments of one measurement.
    rates:       payments begun a second, for each delay.
    users:       who begin within a second, one burst after the other, for each of burst_delays_ms.
    connections: to the pod, one load after the other.
    accepted:    payments of one such load, at most.
    """

    sections: int = 200
    delays_ms: tuple[int, ...] = (0, 300, 3_000)
    calls: tuple[int, ...] = (32, 512)
    backlog: int = 20_000
    seconds: float = 20.0
    rates: tuple[int, ...] = (50, 50, 5)
    users: tuple[int, ...] = (100, 1_000, 5_000)
    burst_delays_ms: tuple[int, ...] = (0, 300, 1_000, 3_000)
    warm_up_s: float = 5.0
    paced_s: float = 20.0
    connections: tuple[int, ...] = (1, 16)
    accepted: int = 4_000
    accepted_s: float = 10.0


QUICK = Sizes(
    sections=10,
    delays_ms=(0, 300),
    calls=(32,),
    backlog=200,
    seconds=2.0,
    rates=(20, 10),
    users=(20,),
    burst_delays_ms=(0, 300),
    warm_up_s=0.5,
    paced_s=1.0,
    connections=(4,),
    accepted=40,
    accepted_s=2.0,
)


class Bench(BenchOfUsers[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    PARTS: ClassVar[frozenset[str]] = frozenset({"kafka", "registry", "gateway"})
    PACKAGES: ClassVar[tuple[str, ...]] = (*BenchOfUsers.PACKAGES, "aiohttp")

    # --- scenarios -------------------------------------------------------------------------

    def settled(self) -> Scenario:
        sizes = self.sizes
        broker = self._fresh_broker()
        return Scenario(
            "settled",
            "a backlog of payments until their seats are sold: one worker, one gateway",
            {
                "sections": sizes.sections,
                "gateway_delays_ms": list(sizes.delays_ms),
                "calls_under_way": list(sizes.calls),
                "payments_at_most": sizes.backlog,
                "seconds": sizes.seconds,
            },
            self._repeated("settled", lambda: self._settled_run(broker)),
        )

    def paced(self) -> Scenario:
        sizes = self.sizes
        broker = self._fresh_broker()
        return Scenario(
            "paced",
            "start of a payment to the committed sale, read_committed",
            {
                "sections": sizes.sections,
                "gateway_delays_ms": list(sizes.delays_ms),
                "rates": list(sizes.rates),
                "calls_under_way": sizes.calls[0],
                "warm_up_s": sizes.warm_up_s,
                "seconds": sizes.paced_s,
            },
            self._repeated("paced", lambda: self._paced_run(broker)),
        )

    def burst(self) -> Scenario:
        sizes = self.sizes
        broker = self._fresh_broker()
        ways = [f"delay_{delay}_users_{n}" for delay in sizes.burst_delays_ms for n in sizes.users]
        return Scenario(
            "burst",
            "users who begin to pay within a second, until their seats are sold, read_committed",
            {
                "sections": sizes.sections,
                "gateway_delays_ms": list(sizes.burst_delays_ms),
                "users": list(sizes.users),
                "calls_under_way": sizes.calls[-1],
            },
            self._repeated("burst", lambda: self._burst_run(broker)),
            (
                *(Target(f"{way}_p95_ms", at_most=15_000) for way in ways),
                *(Target(f"{way}_too_long_percent", at_most=1) for way in ways),
                *(Target(f"{way}_not_once_percent", at_most=0) for way in ways),
            ),
        )

    def accepted(self) -> Scenario:
        sizes = self.sizes
        broker = self._fresh_broker()
        return Scenario(
            "accepted",
            "POST of a payment until 202, no worker runs: one pod",
            {
                "sections": sizes.sections,
                "connections": list(sizes.connections),
                "payments_at_most": sizes.accepted,
                "seconds": sizes.accepted_s,
            },
            self._repeated("accepted", lambda: self._accepted_run(broker)),
            tuple(Target(f"c{many}_p99_ms", at_most=100) for many in sizes.connections),
        )

    # --- one run ---------------------------------------------------------------------------

    def _settled_run(self, broker: BrokerOfUsers) -> Run:
        sizes = self.sizes
        run: dict[str, float] = {}
        for calls in sizes.calls:
            till = self._till(broker, calls)
            with till.opened() as worker:
                for delay_ms in sizes.delays_ms:
                    count = backlog_of(delay_ms, calls, sizes.seconds, sizes.backlog)
                    found = measure_settled(
                        till, worker, delay_ms, count, sizes.seconds, self.progress
                    )
                    run |= _named(f"delay_{delay_ms}_calls_{calls}", found)
                    self.progress.step(
                        f"  gateway of {delay_ms:,} ms, {calls} calls:"
                        f" {found['settled_per_s']:,.1f} settled/s,"
                        f" {found['worker_cpu_us']:,.0f} us of the worker each"
                    )
                worker.stop()
        return run

    def _paced_run(self, broker: BrokerOfUsers) -> Run:
        sizes = self.sizes
        run: dict[str, float] = {}
        till = self._till(broker, sizes.calls[0])
        with till.opened() as worker:
            for delay_ms, rate in zip(sizes.delays_ms, sizes.rates, strict=True):
                till.pace(delay_ms)
                found = measure_paced(till, worker, rate, sizes.warm_up_s, sizes.paced_s)
                run |= _named(f"delay_{delay_ms}", found)
                self.progress.step(
                    f"  gateway of {delay_ms:,} ms, {rate}/s: sold after"
                    f" {found['p50_ms']:,.0f} ms (p50), {found['p99_ms']:,.0f} ms (p99)"
                )
            till.pace(0)
            worker.stop()
        return run

    def _burst_run(self, broker: BrokerOfUsers) -> Run:
        sizes = self.sizes
        run: dict[str, float] = {}
        till = self._till(broker, sizes.calls[-1])
        with till.opened() as worker:
            for delay_ms in sizes.burst_delays_ms:
                till.pace(delay_ms)
                for users in sizes.users:
                    found = measure_burst(till, worker, users)
                    run |= _named(f"delay_{delay_ms}_users_{users}", found)
                    self.progress.step(
                        f"  gateway of {delay_ms:,} ms, {users:,} users: sold after"
                        f" {found['p50_ms']:,.0f} ms (p50), {found['p95_ms']:,.0f} ms (p95)"
                    )
            till.pace(0)
            worker.stop()
        return run

    def _accepted_run(self, broker: BrokerOfUsers) -> Run:
        sizes = self.sizes
        run: dict[str, float] = {}
        till = self._till(broker, sizes.calls[0])
        place = broker.directory / f"{till.group}-pod"
        # The pod is there before the seats are held, as pods are: it need not ask a worker.
        with (
            till.opened() as worker,
            ApiPod(broker.cluster, broker.users, place, app_id=till.group) as pod,
        ):
            pod.wait_ready()
            loads = [till.hold(sizes.accepted, worker) for _ in sizes.connections]
            worker.stop()
            with till.sold() as reader:
                begun = 0
                for connections, held in zip(sizes.connections, loads, strict=True):
                    found, accepted = measure_accepted(
                        pod, broker.users, held, connections, sizes.accepted_s
                    )
                    begun += accepted
                    run |= _named(f"c{connections}", found)
                    self.progress.step(
                        f"  {connections} connections: p99 {found.get('p99_ms', 0):.1f} ms,"
                        f" {found['not_202']:.0f} not accepted"
                    )
                # Whatever was accepted is made good.
                with till.worker() as again:
                    again.wait_ready()
                    wait_seen(reader, begun, again)
                    again.stop()
            pod.stop()
        shutil.rmtree(place)
        return run

    # --- shared ----------------------------------------------------------------------------

    def _till(self, broker: BrokerOfUsers, calls: int) -> Till:
        """Return a till with a group, and a directory, of its own."""
        self._serial += 1
        place = broker.directory / f"payments-{self._seed}-{self._serial}"
        place.mkdir()
        return Till(broker.cluster, Arena(self.sizes.sections, price=PRICE), place, calls)


def _named(prefix: str, found: Run) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in found.items()}


# In the order they are run.
SCENARIOS = measuring.by_name(Bench.settled, Bench.paced, Bench.burst, Bench.accepted)


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add what only `settled` asks for."""
    seconds = "of one measurement of `settled` (20)"
    parser.add_argument("--seconds", type=measuring.some_seconds, help=seconds)


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return how much is asked for."""
    sizes = QUICK if options.quick else Sizes()
    return replace(sizes, seconds=options.seconds) if options.seconds else sizes


COMMAND = measuring.Command(
    "payments", __doc__, "reservations", Bench, sizes_of, SCENARIOS, more_options
)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
