"""Measure carts on a real broker, started for the purpose.

Scenarios (all, without any named):
  held    a backlog of carts over 2 and over 8 sections: carts a second, processor time of each
  paced   wish -> cart held as a whole, at a rate below that

One worker plays seats and carts. Every figure is the median of the runs, with the least and the
most. Nothing is asserted. The machine should do nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.carts held --runs 3 --out /tmp/carts.json
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.cart_runs.carting import SEATS_EACH, Box, measure_backlog, measure_paced
from benchmarks.measuring import bench as measuring
from benchmarks.measuring.figures import Run, Scenario
from benchmarks.pod_runs.arena import Arena
from benchmarks.seat_runs.worker import Worker


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    arena:    sections of 5,000 seats. parts: sections of a cart, one measurement after the other.
    backlog:  carts of each measurement. rates: carts a second, for each of `parts`.
    """

    arena: int = 200
    parts: tuple[int, ...] = (2, 8)
    backlog: int = 20_000
    rates: tuple[int, ...] = (200, 50)
    warm_up_s: float = 5.0
    seconds: float = 20.0


QUICK = Sizes(arena=20, backlog=2_000, rates=(40, 20), warm_up_s=0.5, seconds=1.5)


class Bench(measuring.BrokerBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    def held(self) -> Scenario:
        broker = self._fresh_broker()
        return Scenario(
            "held",
            "a backlog of carts until each is held as a whole: one worker",
            self._described() | {"backlog": self.sizes.backlog},
            self._repeated("held", lambda: self._held_run(broker)),
        )

    def paced(self) -> Scenario:
        sizes = self.sizes
        broker = self._fresh_broker()
        return Scenario(
            "paced",
            "wish for a cart to the committed cart that is held, read_committed",
            self._described()
            | {
                "rates": list(sizes.rates),
                "warm_up_s": sizes.warm_up_s,
                "seconds": sizes.seconds,
            },
            self._repeated("paced", lambda: self._paced_run(broker)),
        )

    def _held_run(self, broker: measuring.Broker) -> Run:
        run: dict[str, float] = {}
        with self._box(broker) as (box, worker):
            for parts in self.sizes.parts:
                found = measure_backlog(box, worker, parts, self.sizes.backlog, self.progress)
                run |= {f"sections_{parts}_{name}": value for name, value in found.items()}
                self.progress.step(
                    f"  {parts} sections: {found['carts_per_s']:,.0f} carts/s,"
                    f" {found['worker_cpu_us']:,.0f} us of the worker each"
                )
        return run

    def _paced_run(self, broker: measuring.Broker) -> Run:
        sizes = self.sizes
        run: dict[str, float] = {}
        with self._box(broker) as (box, worker):
            for parts, rate in zip(sizes.parts, sizes.rates, strict=True):
                found = measure_paced(box, worker, parts, rate, sizes.warm_up_s, sizes.seconds)
                run |= {f"sections_{parts}_{name}": value for name, value in found.items()}
                self.progress.step(
                    f"  {parts} sections, {rate}/s: held after {found['p50_ms']:.1f} ms (p50),"
                    f" {found['p99_ms']:.1f} ms (p99)"
                )
        return run

    @contextmanager
    def _box(self, broker: measuring.Broker) -> Iterator[tuple[Box, Worker]]:
        """Give a worker with a group, and a directory, of its own; nothing of it is left."""
        self._serial += 1
        place = broker.directory / f"carts-{self._seed}-{self._serial}"
        place.mkdir()
        box = Box(broker.cluster, Arena(self.sizes.arena), place, self._seed)
        with box.opened() as worker:
            yield box, worker
            worker.stop()
        shutil.rmtree(place)

    def _described(self) -> dict[str, object]:
        sizes = self.sizes
        return {
            "arena_sections": sizes.arena,
            "sections_of_a_cart": list(sizes.parts),
            "seats_of_each_section": SEATS_EACH,
        }


# In the order they are run.
SCENARIOS = measuring.by_name(Bench.held, Bench.paced)


COMMAND = measuring.Command(
    "carts", __doc__, "carts", Bench, measuring.either(Sizes(), QUICK), SCENARIOS
)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
