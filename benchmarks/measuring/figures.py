"""Figures of several runs: median, least and most; percentiles of latencies; targets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from statistics import median
from typing import Any

Run = Mapping[str, float]
"""One run's figures by name; the unit ends the name (`_ms`, `_per_s`, `_bytes`, ...)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure over all runs."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure's median shall reach: one of the two bounds is given. Never an assertion."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def is_met_by(self, value: float) -> bool:
        """Tell whether the value lies on the right side of the bound, the bound included."""
        return not (
            (self.at_least is not None and value < self.at_least)
            or (self.at_most is not None and value > self.at_most)
        )

    def __str__(self) -> str:
        bound, sign = (self.at_most, "<=") if self.at_least is None else (self.at_least, ">=")
        return f"{sign} {shown(bound or 0.0)}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A measured scenario.

    what:  one line for the reader of the result.
    sizes: what was asked for: commands, sections, rates.
    runs:  the figures of each counted run, in order.
    notes: whatever else was seen: decisions by reason, for one.
    """

    name: str
    what: str
    sizes: Mapping[str, Any]
    runs: Sequence[Run]
    targets: Sequence[Target] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    def figures(self) -> dict[str, Figure]:
        """Return every figure that all runs have."""
        names = [name for name in self.runs[0] if all(name in run for run in self.runs)]
        return {name: summary([run[name] for run in self.runs]) for name in names}

    def document(self) -> dict[str, Any]:
        """Return the scenario as it is written into the result file."""
        figures = self.figures()
        return {
            "what": self.what,
            "sizes": dict(self.sizes),
            "figures": {name: asdict(figure) for name, figure in figures.items()},
            "targets": [
                {
                    **asdict(target),
                    "median": figures[target.figure].median,
                    "met": target.is_met_by(figures[target.figure].median),
                }
                for target in self.targets
                if target.figure in figures
            ],
            "notes": dict(self.notes),
            "runs": [dict(run) for run in self.runs],
        }

    def table(self) -> str:
        """Return the figures for a terminal."""
        targets = {target.figure: target for target in self.targets}
        lines = [f"{self.name}: {self.what} ({len(self.runs)} run(s))"]
        lines.append(f"  {'':34}{'median':>12}{'min':>12}{'max':>12}  target")
        for name, figure in self.figures().items():
            values = "".join(
                f"{shown(value):>12}" for value in (figure.median, figure.least, figure.most)
            )
            target = targets.get(name)
            verdict = ""
            if target is not None:
                verdict = f"{target} {'met' if target.is_met_by(figure.median) else 'NOT MET'}"
            lines.append(f"  {name:34}{values}  {verdict}".rstrip())
        lines += [f"  {name}: {value}" for name, value in self.notes.items()]
        return "\n".join(lines)


def summary(values: Sequence[float]) -> Figure:
    """Return the median with least and most; at least one value is needed."""
    return Figure(median(values), min(values), max(values))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` (0..1] of the ordered values do not exceed (nearest rank)."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def latencies(ordered_ms: Sequence[float]) -> dict[str, float]:
    """Return the usual percentiles of latencies in ms, ascending; empty without any."""
    if not ordered_ms:
        return {}
    return {
        "p50_ms": percentile(ordered_ms, 0.50),
        "p90_ms": percentile(ordered_ms, 0.90),
        "p99_ms": percentile(ordered_ms, 0.99),
        "max_ms": ordered_ms[-1],
    }


def shown(value: float) -> str:
    """Return a number with three digits that count, or all of them above a thousand."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
