"""The metrics of one pod: every name, unit and meaning stands here.

Bounded labels only: never a user, a reservation, a section or a path. What the parts count about
themselves is read when somebody asks for the page, so that a look-up pays nothing for it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

Reading = tuple[str, str, str, float]
"""Kind (counter or gauge), name without prefix, meaning, value."""


class ApiMetrics:
    """The metrics of one pod.

    Each field is a metric. Parts with numbers of their own are added by `read_from`.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "seatstream_api_requests",
            "Requests answered, by route and status; look-ups from memory included.",
            ("route", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "seatstream_api_request_seconds",
            "From the arrival of a request to the end of its answer, but for streams.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.problems = Counter(
            "seatstream_api_problems",
            "Requests refused, by reason.",
            ("reason",),
            registry=registry,
        )
        self.produce_seconds = Histogram(
            "seatstream_api_produce_seconds",
            "From handing a command to the producer to the brokers' acknowledgement.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.outcome_seconds = Histogram(
            "seatstream_api_outcome_seconds",
            "From handing a command to the producer to its committed outcome.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.commands_in_flight = Gauge(
            "seatstream_api_commands_in_flight",
            "Commands whose outcome is being waited for.",
            registry=registry,
        )
        self.streams_open = Gauge(
            "seatstream_api_streams_open", "Event streams that are open.", registry=registry
        )
        self.streams_dropped = Counter(
            "seatstream_api_streams_dropped",
            "Event streams ended because their client read too slowly.",
            registry=registry,
        )

    def read_from(self, source: Callable[[], Iterable[Reading]]) -> None:
        """Have a part's own numbers read whenever the page is asked for."""
        self.registry.register(_Readings(source))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Readings(Collector):
    """Turns the readings of a part into metrics."""

    def __init__(self, source: Callable[[], Iterable[Reading]]) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        # Nothing is told ahead: the registry would read the part before it runs.
        return ()

    def collect(self) -> Iterator[Metric]:
        for kind, name, meaning, value in self._source():
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            metric = family(f"seatstream_{name}", meaning)
            metric.add_metric((), value)
            yield metric
