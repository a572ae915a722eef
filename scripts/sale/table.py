"""Shows how the demo goes: a live table on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from time import monotonic, monotonic_ns
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from scripts.sale.buyers import RECENT_S, Buyers
from scripts.sale.web.buyers import WebBuyers
from scripts.traffic.workload import percentile

LINE_EVERY_S = 2.0
TABLE_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Figures:
    """What is shown.

    lag:  commands without an outcome yet.
    http: answers a second, their p99 in ms, and how many called themselves stale until now; None
          while nobody asks.
    """

    elapsed_s: float
    sections: int
    free: int
    held: int
    sold: int
    decisions_per_s: float
    p99_ms: float
    lag: int
    http: tuple[float, float, int] | None


def http_figures_of(web: WebBuyers) -> tuple[float, float, int]:
    """Return answers a second and p99 of the last seconds, and all stale answers."""
    exchanges = web.shop.history.exchanges
    since_ns = monotonic_ns() - int(RECENT_S * 1e9)
    recent = list(takewhile(lambda one: one.returned_ns > since_ns, reversed(exchanges)))
    latencies = sorted(one.latency_ms for one in recent if not one.waits)
    seconds = (recent[0].returned_ns - recent[-1].returned_ns) / 1e9 if recent else 0.0
    return len(recent) / max(0.5, seconds), percentile(latencies, 0.99), web.shop.stale_answers


def figures_of(buyers: Buyers, web: WebBuyers | None, elapsed_s: float) -> Figures:
    """Return the figures of this moment; rates and p99s are of the last seconds."""
    recent = sorted(latency for _, latency in buyers.recent)
    seconds = max(0.5, buyers.recent[-1][0] - buyers.recent[0][0]) if buyers.recent else 1.0
    return Figures(
        elapsed_s=elapsed_s,
        sections=sum(section.is_open for section in buyers.sections),
        free=buyers.free,
        held=buyers.held,
        sold=buyers.sold,
        decisions_per_s=len(recent) / seconds,
        p99_ms=percentile(recent, 0.99),
        lag=buyers.waiting,
        http=None if web is None else http_figures_of(web),
    )


class Display:
    """Prints what happens, and the figures between."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._start = monotonic()
        self._shown_at = 0.0
        self._is_live = self._console.is_terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_table()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the demo began."""
        return monotonic() - self._start

    def say(self, text: str) -> None:
        """Print one line about what happens."""
        line = f"{self.elapsed_s:6.1f} s  {text}"
        if self._live is None:
            print(line, flush=True)
        else:
            self._live.console.print(line, markup=False)
        sys.stdout.flush()

    def begin_table(self) -> None:
        """Show the live table from now on, where there is a terminal."""
        if self._is_live:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()

    def end_table(self) -> None:
        """Leave the last table where it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, buyers: Buyers, web: WebBuyers | None, *, now: bool = False) -> None:
        """Show the figures when it is time to."""
        every_s = LINE_EVERY_S if self._live is None else TABLE_EVERY_S
        if not now and monotonic() - self._shown_at < every_s:
            return
        self._shown_at = monotonic()
        figures = figures_of(buyers, web, self.elapsed_s)
        if self._live is None:
            print(as_line(figures), flush=True)
        else:
            self._live.update(as_table(figures), refresh=True)


def as_line(figures: Figures) -> str:
    """Return the figures as one line."""
    line = (
        f"{figures.elapsed_s:6.1f} s  sections {figures.sections}  free {figures.free}"
        f"  held {figures.held}  sold {figures.sold}  decisions/s {figures.decisions_per_s:.0f}"
        f"  p99 {figures.p99_ms:.0f} ms  lag {figures.lag}"
    )
    if figures.http is None:
        return line
    per_s, p99_ms, stale = figures.http
    return f"{line}  |  http/s {per_s:.0f}  p99 {p99_ms:.0f} ms  stale {stale}"


def as_table(figures: Figures) -> Group:
    """Return the figures as two tables, one above the other: 80 columns have room for them."""
    seats = {
        "time": f"{figures.elapsed_s:.0f} s",
        "sections": str(figures.sections),
        "free": f"{figures.free:,}",
        "held": f"{figures.held:,}",
        "sold": f"{figures.sold:,}",
    }
    speed = {
        "decisions/s": f"{figures.decisions_per_s:,.0f}",
        "p99": f"{figures.p99_ms:,.0f} ms",
        "lag": f"{figures.lag:,}",
    }
    if figures.http is not None:
        per_s, p99_ms, stale = figures.http
        speed |= {
            "http/s": f"{per_s:,.0f}",
            "http p99": f"{p99_ms:,.0f} ms",
            "stale": f"{stale:,}",
        }
    return Group(_row(seats), _row(speed))


def _row(cells: Mapping[str, str]) -> Table:
    # At most six columns of 8 to 11, each with three for its frame: 76.
    table = Table()
    for name in cells:
        table.add_column(name, justify="right", min_width=8)
    table.add_row(*cells.values())
    return table
