"""Measure the seats on a real broker, started for the purpose.

Scenarios (all, without any named):
  drained       a backlog of holds over 800 sections of 5,000 seats: decisions/s, CPU a command
  drained_by_two
                the same backlog, two workers sharing the partitions
  stock         the same commands on stock Faust, with the ratio to `drained`
  hot           one section of 5,000 seats: nearly all refusals, once it is sold out
  huge          one section of 100,000 seats, likewise
  hot_turnover, huge_turnover
                the same, each hold released later, so that seats stay to be had
  paced         produce -> committed outcome at 1,000, 5,000 and 20,000 commands/s
  memory        resident memory with 800 sections of 5,000 seats and 1 M holds
  state_bytes   sizes of stored sections, reservations and status records
  warm_restart  start to ready on kept stores
  restore       start without stores: changelog records/s
  failover      kill -9 of one of two workers at 2,000 commands/s
  neighbours    the choice of seats alone, without a broker: where all are free, and where few are

Every figure is the median of the runs, with the least and the most. Nothing is asserted; targets
stand beside the figures. The machine should do nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.seats drained stock --runs 5 --out /tmp/seats.json
"""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from benchmarks.measuring import bench as measuring
from benchmarks.measuring.cluster import Cluster
from benchmarks.measuring.figures import Run, Scenario, Target, shown
from benchmarks.pod_runs.arena import PARTY_SIZES, Arena, Holds
from benchmarks.seat_runs.drained import Drained, preload, preload_and_drain, rates, watch
from benchmarks.seat_runs.neighbours import FREE_SHARE, measure_neighbours
from benchmarks.seat_runs.paced import Offer, Pair, measure_failover, measure_rates, open_sections
from benchmarks.seat_runs.recovery import measure_restore, measure_sizes, measure_warm_restart
from benchmarks.seat_runs.worker import Worker
from schemas.topics import RESERVATION_OUTCOMES

Value = TypeVar("Value")

STOCK_LIMIT_S = 20.0
COMMANDS_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does."""

    commands: int = 1_000_000
    sections: int = 800
    stock_commands: int = 100_000
    huge_rows: int = 200
    huge_seats_per_row: int = 500
    rates: tuple[int, ...] = (1_000, 5_000, 20_000)
    warm_up_s: float = 5.0
    seconds: float = 10.0
    failover_rate: int = 2_000
    failover_warm_s: float = 5.0
    failover_s: float = 20.0
    settle_s: float = 3.0
    choices: int = 20_000
    choices_of_pieces: int = 500


QUICK = Sizes(
    commands=20_000,
    sections=80,
    stock_commands=1_000,
    rates=(500, 1_000),
    warm_up_s=0.5,
    seconds=1.5,
    failover_rate=300,
    failover_warm_s=1.0,
    failover_s=11.0,
    settle_s=0.0,
    choices=200,
    choices_of_pieces=5,
)


class Bench(measuring.BrokerBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far.

    is_random: whether reservation ids are without order.
    """

    is_random = False
    _filled: "Filled | None" = None

    @classmethod
    def asked_for(cls, options: argparse.Namespace, sizes: Sizes) -> Self:
        """Return the benchmark that options ask for."""
        bench = super().asked_for(options, sizes)
        bench.is_random = options.ids == "random"
        return bench

    def conclude(self) -> None:
        """Print how Faust alone compares, where both were measured."""
        if stock := self.scenarios.get("stock"):
            ratio = stock.figures()["drained_over_stock"].median
            print(f"{shown(ratio)} times the decisions/s of stock Faust")

    # --- scenarios -------------------------------------------------------------------------

    def drained(self) -> Scenario:
        arena = Arena(self.sizes.sections)
        targets = (
            Target("decisions_per_s", at_least=100_000),
            Target("worker_cpu_us", at_most=10),
        )
        return self._drains(
            "drained", "holds of 1-4 seats drained exactly once", arena, targets=targets
        )

    def drained_by_two(self) -> Scenario:
        what = "holds of 1-4 seats drained exactly once by two workers"
        return self._drains("drained_by_two", what, Arena(self.sizes.sections), workers=2)

    def hot(self) -> Scenario:
        return self._drains("hot", "one hot section, mostly refusals", Arena(1))

    def huge(self) -> Scenario:
        return self._drains("huge", "one huge section, mostly refusals", self._huge)

    def hot_turnover(self) -> Scenario:
        return self._drains(
            "hot_turnover", "one hot section, holds and releases", Arena(1), outstanding=1_000
        )

    def huge_turnover(self) -> Scenario:
        return self._drains(
            "huge_turnover",
            "one huge section, holds and releases",
            self._huge,
            outstanding=min(20_000, self.sizes.commands // 4),
        )

    def memory(self) -> Scenario:
        drained = self.scenarios.get("drained") or self.drained()
        names = ("held", "rss_settled_mb", "rss_most_mb")
        return Scenario(
            "memory",
            "resident memory of the worker after the drain",
            drained.sizes,
            [{name: run[name] for name in names} for run in drained.runs],
            (Target("rss_settled_mb", at_most=500),),
            {"from": "the runs of `drained`"},
        )

    def stock(self) -> Scenario:
        drained = self.scenarios.get("drained") or self.drained()
        holds = self._holds(Arena(self.sizes.sections), self.sizes.stock_commands)
        broker = self._fresh_broker()
        runs = self._repeated("stock", lambda: self._stock_run(broker, holds))
        median = drained.figures()["decisions_per_s"].median
        ratio = [{**run, "drained_over_stock": median / run["decisions_per_s"]} for run in runs]
        return Scenario(
            "stock",
            "the same commands on stock Faust, at least once",
            {**self._described(holds), "limit_s": STOCK_LIMIT_S},
            ratio,
            (Target("drained_over_stock", at_least=20),),
        )

    def paced(self) -> Scenario:
        arena = Arena(self.sizes.sections)
        broker = self._fresh_broker()
        runs = self._repeated("paced", lambda: self._rates_run(broker, arena))
        sizes = {
            "sections": arena.sections,
            "rates": list(self.sizes.rates),
            "warm_up_s": self.sizes.warm_up_s,
            "seconds": self.sizes.seconds,
        }
        targets = (Target("rate_5000_p50_ms", at_most=25), Target("rate_5000_p99_ms", at_most=60))
        return Scenario(
            "paced", "produce to committed outcome, read_committed", sizes, runs, targets
        )

    def failover(self) -> Scenario:
        arena = Arena(self.sizes.sections)
        sizes = self.sizes
        broker = self._fresh_broker()
        broker.cluster.fresh_topics()
        group = self._next_name("failover")
        runs = []
        with Pair(broker.cluster, group, broker.directory) as pair:
            pair.wait_shared()
            open_sections(broker.cluster, arena, group, *pair.workers)
            for number in self._counted("failover"):
                offer = self._offer(
                    arena, sizes.failover_rate, sizes.failover_warm_s, sizes.failover_s
                )
                runs.append(
                    measure_failover(
                        broker.cluster,
                        pair,
                        offer,
                        number % 2,
                        broker.directory,
                        self.progress,
                    )
                )
        described = {"rate": sizes.failover_rate, "sections": arena.sections, "workers": 2}
        return Scenario(
            "failover",
            "kill -9 of one of two workers, session timeout 6 s",
            described,
            runs,
            (Target("failover_s", at_most=8),),
        )

    def warm_restart(self) -> Scenario:
        filled = self._fill()
        runs = [
            measure_warm_restart(filled.cluster, filled.group, filled.data_dir, self.progress)
            for _ in self._counted("warm_restart")
        ]
        return Scenario("warm_restart", "start to ready, stores kept", filled.sizes, runs)

    def restore(self) -> Scenario:
        filled = self._fill()
        runs = [
            measure_restore(filled.cluster, filled.group, filled.data_dir, self.progress)
            for _ in self._counted("restore")
        ]
        targets = (Target("restore_records_per_s", at_least=150_000),)
        return Scenario("restore", "start to ready, stores empty", filled.sizes, runs, targets)

    def state_bytes(self) -> Scenario:
        filled = self._fill()
        self.progress.step("state_bytes: reading the changelog")
        arena = filled.holds.arena
        bitmap_bytes = arena.rows * ((arena.seats_per_row + 7) // 8)
        return Scenario(
            "state_bytes",
            "bytes of stored and published values",
            {**filled.sizes, "bitmap_bytes": bitmap_bytes},
            [measure_sizes(filled.cluster)],
            (
                Target("section_most_bytes", at_most=bitmap_bytes + 128),
                Target("status_most_bytes", at_most=50),
            ),
        )

    def neighbours(self) -> Scenario:
        sizes, arena = self.sizes, Arena(1)
        runs = [
            measure_neighbours(arena, sizes.choices, sizes.choices_of_pieces, f"{self._seed}")
            for _ in self._counted("neighbours")
        ]
        return Scenario(
            "neighbours",
            "the choice of seats side by side alone: no broker",
            {
                "seats": arena.seats,
                "free_percent": 100 * FREE_SHARE,
                "choices": sizes.choices,
                "choices_of_pieces": sizes.choices_of_pieces,
            },
            runs,
        )

    # --- one run ---------------------------------------------------------------------------

    def _drains(
        self,
        name: str,
        what: str,
        arena: Arena,
        *,
        targets: Sequence[Target] = (),
        outstanding: int = 0,
        workers: int = 1,
    ) -> Scenario:
        holds = self._holds(arena, self.sizes.commands, outstanding)
        broker = self._fresh_broker()
        drains = self._repeated(name, lambda: self._drain_run(broker, holds, workers))
        scenario = Scenario(
            name,
            what,
            self._described(holds),
            [drain.run for drain in drains],
            targets,
            {"decisions": dict(drains[-1].decisions)},
        )
        # For `memory` and `stock`, should they be asked for without it.
        self.scenarios[name] = scenario
        return scenario

    def _drain_run(self, broker: measuring.Broker, holds: Holds, workers: int) -> Drained:
        group = self._next_name("drain")
        data_dir = broker.directory / group
        drained = preload_and_drain(
            broker.cluster,
            holds,
            group,
            data_dir,
            self.progress,
            settle_s=self.sizes.settle_s,
            count=workers,
        )
        shutil.rmtree(data_dir)
        return drained

    def _stock_run(self, broker: measuring.Broker, holds: Holds) -> Run:
        cluster = broker.cluster
        cluster.delete_topics(cluster.topics_named("stock-"))
        preload(cluster, holds, self.progress)
        total = holds.count + holds.arena.sections
        name = self._next_name("stock")
        # Stock Faust creates them too, but its agents crash until it has heard that they exist.
        changelogs = [f"{name}-{table}-changelog" for table in ("sections", "reservations")]
        cluster.create_compacted(changelogs, RESERVATION_OUTCOMES.partitions)
        data_dir = broker.directory / name
        command = (
            *(
                sys.executable,
                "-m",
                "faust",
                "--loop",
                "uvloop",
                "-A",
                "benchmarks.seat_runs.stock_faust",
            ),
            *("worker", "--without-web"),
        )
        environment = {
            "KAFKA_BROKERS": cluster.brokers,
            "SCHEMA_REGISTRY_URL": cluster.registry_url,
            "BENCHMARK_APP_ID": name,
            "BENCHMARK_DATA_DIR": str(data_dir),
        }
        with Worker(command, environment, data_dir) as worker:
            window = watch(
                cluster,
                worker,
                # It commits seconds behind; its outcomes are in no transaction, so they count.
                lambda: sum(cluster.ends(RESERVATION_OUTCOMES)),
                total,
                self.progress,
                limit_s=STOCK_LIMIT_S,
            )
            if "Crashed" in worker.log_text():
                raise worker.failed("an agent of stock Faust crashed")
        shutil.rmtree(data_dir)
        run = {**rates(window), "rss_most_mb": max(sample.rss_mb for sample in window)}
        self.progress.step(f"  {run['decisions_per_s']:,.0f} decisions/s")
        return run

    def _rates_run(self, broker: measuring.Broker, arena: Arena) -> Run:
        name = self._next_name("paced")
        place = broker.directory / name
        place.mkdir()
        offers = [
            self._offer(arena, rate, self.sizes.warm_up_s, self.sizes.seconds)
            for rate in self.sizes.rates
        ]
        run = measure_rates(broker.cluster, name, offers, place, self.progress)
        shutil.rmtree(place)
        return run

    # --- shared ----------------------------------------------------------------------------

    def _fill(self) -> "Filled":
        """Return a broker with the log of a drain, the same for all who ask in a row."""
        if self._filled is None:
            holds = self._holds(Arena(self.sizes.sections), self.sizes.commands)
            broker = self._fresh_broker()
            self.progress.step("filling the changelog, not counted")
            group = self._next_name("filled")
            data_dir = broker.directory / group
            preload_and_drain(
                broker.cluster, holds, group, data_dir, self.progress, settle_s=self.sizes.settle_s
            )
            self._filled = Filled(broker.cluster, group, data_dir, holds, self._described(holds))
        return self._filled

    def _fresh_broker(self) -> measuring.Broker:
        self._filled = None
        return super()._fresh_broker()

    def _next_name(self, kind: str) -> str:
        """Return a group's name; a new one has no offsets and fences nobody."""
        self._serial += 1
        return f"{kind}-{self._serial}"

    def _holds(self, arena: Arena, count: int, outstanding: int = 0) -> Holds:
        return Holds(
            arena, count, str(self._seed), is_random=self.is_random, outstanding=outstanding
        )

    def _offer(self, arena: Arena, rate: int, warm_up_s: float, seconds: float) -> Offer:
        self._serial += 1
        # Far apart, so that no two offers make the same ids.
        first = self._serial * 10_000_000
        return Offer(rate, warm_up_s, seconds, arena, f"{self._seed}-{self._serial}", first)

    def _described(self, holds: Holds) -> dict[str, Any]:
        arena = holds.arena
        return {
            "commands": holds.count,
            "sections": arena.sections,
            "seats_per_section": arena.rows * arena.seats_per_row,
            "party_sizes": list(PARTY_SIZES),
            "ids": "random (UUIDv4)" if holds.is_random else "by time (UUIDv7)",
            "outstanding": holds.outstanding,
        }

    @property
    def _huge(self) -> Arena:
        return Arena(1, self.sizes.huge_rows, self.sizes.huge_seats_per_row)


@dataclass(frozen=True, slots=True)
class Filled:
    """A running broker whose changelog holds the state of a drain; no worker runs."""

    cluster: Cluster
    group: str
    data_dir: Path
    holds: Holds
    sizes: Mapping[str, Any]


# In the order they are run: those that share a broker stand together.
SCENARIOS = measuring.by_name(
    Bench.drained,
    Bench.drained_by_two,
    Bench.stock,
    Bench.memory,
    Bench.hot,
    Bench.hot_turnover,
    Bench.huge,
    Bench.huge_turnover,
    Bench.paced,
    Bench.warm_restart,
    Bench.state_bytes,
    Bench.restore,
    Bench.failover,
    Bench.neighbours,
)


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add what only drains ask for."""
    parser.add_argument("--ids", choices=("ordered", "random"), default="ordered")
    commands = "commands of a drain (default 1,000,000)"
    parser.add_argument("--commands", type=measuring.whole(1, COMMANDS_MAX), help=commands)


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return how much is asked for."""
    sizes = QUICK if options.quick else Sizes()
    return replace(sizes, commands=options.commands) if options.commands else sizes


COMMAND = measuring.Command("seats", __doc__, "commands", Bench, sizes_of, SCENARIOS, more_options)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
