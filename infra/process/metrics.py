"""Metrics as a table of name, kind, labels and meaning, and how a table becomes a process' page.

A table is a class whose attributes are its rows; an instance of it has, under the same names,
prometheus_client's objects of one process:

    class BakeryMetrics(Metrics):
        loaves = counter("bakery_loaves", "Loaves baked, by kind.", "kind")
        oven_celsius = read_gauge("bakery_oven_celsius", "Heat of the oven.")

    metrics = BakeryMetrics()
    metrics.loaves.labels("rye").inc()
    metrics.read_from(lambda: [(BakeryMetrics.oven_celsius, oven.celsius)])

Names say their unit; labels are bounded: never a seat, a user, a reservation or a path. A row that
is read costs nothing until somebody asks for the page.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, Self, TypeVar, overload

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.process.build import VERSION

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Made = TypeVar("Made", Counter, Gauge, Histogram)
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric.

    name:    as in prometheus_client; the page shows that of a counter with `_total` behind it.
    meaning: one sentence, with the unit where the name does not end with it.
    buckets: upper bounds of a histogram.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()

    @property
    def shown_name(self) -> str:
        return self.name + ("_total" if self.kind == "counter" else "")


@dataclass(frozen=True, slots=True)
class Told(Row, Generic[Made]):
    """A metric that the process tells when something happens."""

    @overload
    def __get__(self, metrics: None, owner: type) -> Self: ...
    @overload
    def __get__(self, metrics: "Metrics", owner: type) -> Made: ...
    def __get__(self, metrics: "Metrics | None", owner: type) -> Self | Made:
        # An instance has the object itself under this name, which is found before the row.
        return self


@dataclass(frozen=True, slots=True)
class Read(Row):
    """A metric whose value is read when somebody asks for the page."""


def counter(name: str, meaning: str, *labels: str) -> Told[Counter]:
    return Told(name, "counter", labels, meaning)


def gauge(name: str, meaning: str, *labels: str) -> Told[Gauge]:
    return Told(name, "gauge", labels, meaning)


def histogram(
    name: str, meaning: str, *labels: str, buckets: tuple[float, ...]
) -> Told[Histogram]:
    return Told(name, "histogram", labels, meaning, buckets)


def read_counter(name: str, meaning: str, *labels: str) -> Read:
    return Read(name, "counter", labels, meaning)


def read_gauge(name: str, meaning: str, *labels: str) -> Read:
    return Read(name, "gauge", labels, meaning)


Reading = tuple[Read, float] | tuple[Read, float, Sequence[str]]
"""A row, its value, and the values of its labels where it has any."""


class Metrics:
    """What every process tells of itself; a kind of process adds its rows in a class of its own.

    revision: of the source, where it is known.
    """

    build = gauge(
        "seatstream_build_info",
        "What runs here; always 1.",
        "version",
        "revision",
        "python",
    )

    def __init__(self, revision: str = "") -> None:
        self._registry = CollectorRegistry()
        # process_*: CPU, memory, open files, start time.
        ProcessCollector(registry=self._registry)
        for attribute, row in self._rows():
            if isinstance(row, Told):
                vars(self)[attribute] = _made(row, self._registry)
        self.build.labels(VERSION, revision, platform.python_version()).set(1)

    @classmethod
    def table(cls) -> list[Row]:
        """Return every row, those of all processes first."""
        return [row for _, row in cls._rows()]

    @classmethod
    def _rows(cls) -> Iterator[tuple[str, Row]]:
        for kind in reversed(cls.__mro__):
            for attribute, row in vars(kind).items():
                if isinstance(row, Row):
                    yield attribute, row

    def read_from(self, source: Callable[[], Iterable[Reading]]) -> None:
        """Have these rows read from a part of the process whenever the page is asked for."""
        self._registry.register(_Readings(source))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format, which is of `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def _made(row: Row, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if row.kind == "histogram":
        return Histogram(row.name, row.meaning, row.labels, buckets=row.buckets, registry=registry)
    kind = Counter if row.kind == "counter" else Gauge
    return kind(row.name, row.meaning, row.labels, registry=registry)


class _Readings(Collector):
    """Shows what a part of the process tells when it is asked."""

    def __init__(self, source: Callable[[], Iterable[Reading]]) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        # Nothing is told ahead: the registry would read the part before it runs.
        return ()

    def collect(self) -> Iterator[Metric]:
        metrics: dict[Row, CounterMetricFamily | GaugeMetricFamily] = {}
        for row, value, *labels in self._source():
            family = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
            metric = metrics.setdefault(row, family(row.name, row.meaning, labels=row.labels))
            metric.add_metric(labels[0] if labels else (), value)
        yield from metrics.values()
