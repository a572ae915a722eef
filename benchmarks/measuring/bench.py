"""What every benchmark does around its scenarios: options, brokers, runs, the result file."""

import argparse
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from confluent_kafka import KafkaException

from benchmarks.measuring import machine
from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.figures import Scenario
from benchmarks.measuring.progress import Progress
from benchmarks.measuring.results import EXIT_INTERRUPTED, RESULTS, write
from infra.stack import StackError, ephemeral_stack
from scripts.traffic.sending import NoBroker

AnyBench = TypeVar("AnyBench", bound="Bench[Any, Any]")
AnyBroker = TypeVar("AnyBroker")
Sizes = TypeVar("Sizes")
Value = TypeVar("Value")


class Bench(ABC, Generic[Sizes, AnyBroker]):
    """One invocation: what was asked for, and what was measured so far.

    sizes:    how much each scenario does.
    loops_ms: what a fixed loop took before each run, by scenario; see `loop_ms`.
    is_quick: one broker for all scenarios, none of them with an uncounted run before.
    PARTS:    of the stack that is started.
    PACKAGES: whose versions the result file names.
    """

    PARTS: ClassVar[frozenset[str]] = frozenset({"kafka", "registry"})
    PACKAGES: ClassVar[tuple[str, ...]] = machine.PACKAGES

    def __init__(self, sizes: Sizes, runs: int, seed: int, *, is_quick: bool) -> None:
        self.sizes = sizes
        self.runs = runs
        self.progress = Progress()
        self.scenarios: dict[str, Scenario] = {}
        self.loops_ms: dict[str, list[float]] = {}
        self._seed = seed
        self._is_quick = is_quick
        self._serial = 0
        self._running = ExitStack()
        self._broker: AnyBroker | None = None

    @classmethod
    def asked_for(cls, options: argparse.Namespace, sizes: Sizes) -> Self:
        """Return the benchmark that options ask for."""
        return cls(sizes, runs_of(options), options.seed, is_quick=options.quick)

    @abstractmethod
    def _broker_of(self, cluster: Cluster, directory: Path) -> AnyBroker:
        """Return a broker that was just started, with what this benchmark keeps beside it."""

    def _fresh_broker(self) -> AnyBroker:
        """Return a broker that was just started, unless one has to do for everything."""
        if self._broker is not None and self._is_quick:
            return self._broker
        self.close()
        self.progress.step("starting a broker")
        stack = self._running.enter_context(
            ephemeral_stack("bench", parts=self.PARTS, fast_jit=self._is_quick)
        )
        directory = stack.directory / "bench"
        directory.mkdir()
        self._broker = self._broker_of(Cluster(stack, stack.directory), directory)
        return self._broker

    def versions(self) -> dict[str, str]:
        """Return the versions of what is measured, by name."""
        return machine.versions(self.PACKAGES)

    def conclude(self) -> None:
        """Print what no table of a single scenario says; called when all have been measured."""

    def close(self) -> None:
        """Stop the broker that runs, if any."""
        self._broker = None
        self._running.close()

    def _repeated(self, name: str, run: Callable[[], Value]) -> list[Value]:
        """Return what the counted runs give, after one that warms the broker up."""
        if not self._is_quick:
            self.progress.step(f"{name}: warming the broker up, not counted")
            run()
        return [run() for _ in self._counted(name)]

    def _counted(self, name: str) -> Iterator[int]:
        for number in range(self.runs):
            speed = machine.loop_ms()
            self.loops_ms.setdefault(name, []).append(round(speed, 1))
            self.progress.step(
                f"{name}: run {number + 1} of {self.runs}; the fixed loop takes {speed:.0f} ms"
            )
            yield number


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker, and where data goes."""

    cluster: Cluster
    directory: Path


class BrokerBench(Bench[Sizes, Broker], Generic[Sizes]):
    """A benchmark that keeps nothing beside the broker."""

    def _broker_of(self, cluster: Cluster, directory: Path) -> Broker:
        return Broker(cluster, directory)


def by_name(
    *measures: Callable[[AnyBench], Scenario],
) -> dict[str, Callable[[AnyBench], Scenario]]:
    """Return scenarios as a command takes them: each is called as the method that measures it."""
    return {measure.__name__: measure for measure in measures}


def either(normal: Sizes, quick: Sizes) -> Callable[[argparse.Namespace], Sizes]:
    """Return what chooses between sizes by `--quick`, where no other option changes any."""
    return lambda options: quick if options.quick else normal


def no_more_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing."""


@dataclass(frozen=True, slots=True)
class Command(Generic[AnyBench]):
    """`python -m benchmarks.<name>`.

    description:  of its help text.
    seed_of:      what the seed makes, for the help text.
    bench:        what measures them.
    sizes_of:     how much options ask for.
    scenarios:    by name, in the order in which they are run.
    more_options: what adds options that only this benchmark has.
    """

    name: str
    description: str | None
    seed_of: str
    bench: type[AnyBench]
    sizes_of: Callable[[argparse.Namespace], Any]
    scenarios: Mapping[str, Callable[[AnyBench], Scenario]]
    more_options: Callable[[argparse.ArgumentParser], None] = no_more_options

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Return the options; exits with a usage message otherwise."""
        parser = parser_of(self.name, self.description, self.seed_of)
        self.more_options(parser)
        return parsed(parser, arguments, self.scenarios)

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the scenarios; write the result file after each; print tables."""
        options = self.parse(arguments)
        bench = self.bench.asked_for(options, self.sizes_of(options))
        return measure_all(self.name, bench, self.scenarios, options)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number within bounds; raises ValueError."""

    def whole_number(text: str) -> int:
        if not least <= (number := int(text)) <= most:
            raise ValueError(text)
        return number

    return whole_number


def some_seconds(text: str) -> float:
    """Return a time of more than 0 s; raises ValueError."""
    if not (seconds := float(text)) > 0:
        raise ValueError(text)
    return seconds


def parser_of(name: str, description: str | None, seed_of: str) -> argparse.ArgumentParser:
    """Return the options that every benchmark has.

    seed_of: what the seed makes, for the help text.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="default: all")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (default 5)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: does it work?")
    parser.add_argument("--seed", type=int, default=1, help=f"of the {seed_of} (default 1)")
    parser.add_argument("--out", type=Path, help="result file (default benchmarks/results/DATE)")
    return parser


def parsed(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    scenarios: Mapping[str, Any],
) -> argparse.Namespace:
    """Return the options; exits with a usage message for a scenario or a count that is none."""
    options = parser.parse_args(arguments)
    if unknown := set(options.scenarios) - set(scenarios):
        parser.error(f"unknown scenario {min(unknown)!r}; there are {', '.join(scenarios)}")
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def runs_of(options: argparse.Namespace) -> int:
    """Return how many runs of each scenario count."""
    return 1 if options.quick else int(options.runs)


def measure_all(
    name: str,
    bench: AnyBench,
    scenarios: Mapping[str, Callable[[AnyBench], Scenario]],
    options: argparse.Namespace,
) -> int:
    """Run the scenarios asked for, in the order of the table; return the exit code.

    Each table is printed and the result file written when a scenario ends, so that what was
    measured outlives an interruption.

    name: of the benchmark, as in `python -m benchmarks.<name>`.
    """
    document = {
        "benchmark": name,
        "quick": options.quick,
        "date": machine.now(),
        "seed": options.seed,
        "revision": machine.revision(),
        "machine": machine.machine(),
        "versions": bench.versions(),
        "loop_ms_before_runs": {},
        "scenarios": {},
    }
    out = options.out or RESULTS / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}.json"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for wanted, measure in scenarios.items():
            if options.scenarios and wanted not in options.scenarios:
                continue
            scenario = bench.scenarios.get(wanted) or measure(bench)
            bench.scenarios[wanted] = scenario
            print(f"\n{scenario.table()}\n", flush=True)
            document["loop_ms_before_runs"] = bench.loops_ms
            write(out, document, bench.scenarios)
    except KeyboardInterrupt:
        bench.close()
        print("\ninterrupted; nothing is left running", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (BenchmarkFailed, StackError, NoBroker, KafkaException) as error:
        print(f"\nbenchmarks.{name}: {error}", file=sys.stderr)
        return 1
    finally:
        bench.close()
    print(f"written to {out}" + (" (quick: not a measurement)" if options.quick else ""))
    bench.conclude()
    return 0
