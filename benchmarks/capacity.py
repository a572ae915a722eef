"""Say what measured figures mean for 600,000 concurrent users, as a page of the documentation.

Reads benchmarks/results/workers.json, payments.json and seats-drained.json; measures nothing. Run
it again where one of them is new.

Example: .venv/bin/python -m benchmarks.capacity --write docs/capacity.md
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Final

from benchmarks.measuring.results import RESULTS
from schemas.topics import PURCHASE_CONFIRMED

USERS: Final = 600_000
INSTANCES: Final = {
    "issue_purchases": 10,
    "allocate_purchases": 5,
    "schedule_slots": 3,
    "invalidate_caches": 5,
}
"""As source document S002 asks for them, at the least."""

MINUTES: Final = (10, 30, 60)
BUSY: Final = 0.7
"""Share of its core that a worker may be busy: the rest is for bursts, takeovers and restarts."""

Document = Mapping[str, Any]


def figure(document: Document, scenario: str, name: str) -> float:
    """Return the median of a figure."""
    return float(document["scenarios"][scenario]["figures"][name]["median"])


def needed(rate: float, cpu_us: float) -> int:
    """Return how many workers, a core each, take so many events a second."""
    return max(1, ceil(rate * cpu_us / 1e6 / BUSY))


def page(workers: Document, payments: Document, seats: Document) -> str:
    """Return the page."""
    lines = [*_head(workers), *_measured(workers), *_document(workers), *_wanted(workers)]
    return "\n".join([*lines, *_before(payments, seats), *_limits()])


def _head(workers: Document) -> Iterator[str]:
    machine = workers["machine"]
    yield "# Capacity\n"
    yield f"What {USERS:,} concurrent users ask of the [workers after the money](purchases.md)."
    yield "`python -m benchmarks.capacity --write docs/capacity.md` computes this page from the"
    yield "results that are kept; no number here is typed by hand.\n"
    if workers["quick"]:
        yield "**These figures are of a quick run beside other work: they show what the page will"
        yield "say, and claim nothing.**\n"
    yield f"Measured on {machine['cores']} cores of {machine['cpu']}, {workers['date']}; broker,"
    yield "workers, and what they call share these cores."


def _measured(workers: Document) -> Iterator[str]:
    yield "\n## What was measured\n"
    yield (
        "| Role | One worker, events/s | Two, events/s | Processor time of the worker, us an event"
        " | Of the broker, us an event |"
    )
    yield "| --- | --- | --- | --- | --- |"
    for role in INSTANCES:
        one, two, cpu_us, broker_us = (
            figure(workers, role, name)
            for name in ("one_per_s", "two_per_s", "one_cpu_us", "one_broker_cpu_us")
        )
        yield f"| `{role}` | {one:,.0f} | {two:,.0f} | {cpu_us:,.0f} | {broker_us:,.0f} |"


def _document(workers: Document) -> Iterator[str]:
    yield "\n## The instances that were asked for\n"
    yield f"Every user buys at one moment: {USERS:,} purchases. Each worker has a core, and is"
    yield f"busy for {BUSY:.0%} of the time; brokers and services keep up.\n"
    yield "| Role | Instances | Events/s together | Until the last is served, s |"
    yield "| --- | --- | --- | --- |"
    for role, instances in INSTANCES.items():
        per_s = instances * BUSY * 1e6 / figure(workers, role, "one_cpu_us")
        yield f"| `{role}` | {instances} | {per_s:,.0f} | {USERS / per_s:,.0f} |"


def _wanted(workers: Document) -> Iterator[str]:
    yield "\n## How many instances are needed\n"
    yield f"{USERS:,} purchases, spread over so long; in brackets the cores that brokers use for"
    yield "this role, replication apart.\n"
    yield "| Role | " + " | ".join(f"{minutes} minutes" for minutes in MINUTES) + " |"
    yield "| --- |" + " --- |" * len(MINUTES)
    for role in INSTANCES:
        cpu_us, broker_us = (
            figure(workers, role, name) for name in ("one_cpu_us", "one_broker_cpu_us")
        )
        rates = [USERS / (60 * minutes) for minutes in MINUTES]
        cells = [f"{needed(rate, cpu_us)} ({rate * broker_us / 1e6:.2f})" for rate in rates]
        yield f"| `{role}` | " + " | ".join(cells) + " |"


def _before(payments: Document, seats: Document) -> Iterator[str]:
    held = figure(seats, "drained", "decisions_per_s")
    settled = figure(payments, "settled", "delay_300_calls_512_settled_per_s")
    yield "\n## What comes before them\n"
    yield f"One worker of the role `seats` decides {held:,.0f} holds a second: {USERS:,} in"
    yield f"{USERS / held:,.0f} s. One of the role `payments`, with 512 calls under way at a"
    yield f"gateway that takes 300 ms, settles {settled:,.0f} payments a second: {USERS:,} in"
    yield f"{USERS / settled / 60:,.0f} minutes. Purchases come no faster than that.\n"


def _limits() -> Iterator[str]:
    yield "## What this leaves out\n"
    partitions = PURCHASE_CONFIRMED.partitions
    yield f"- More instances than partitions are idle: the topics have {partitions}."
    yield "- `allocate_purchases` calls a service once for each purchase, which has to bear it."
    yield "- Users who look, wait and hold seats are the pods': they cost these workers nothing."


def read(name: str) -> Document:
    """Return a result file of ours."""
    document: Document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def present_page() -> str:
    """Return the page of the results that there are."""
    return page(read("workers"), read("payments"), read("seats-drained")) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there")
    options = parser.parse_args(arguments)
    if options.write:
        options.write.write_text(present_page(), encoding="utf-8")
    else:
        sys.stdout.write(present_page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
