"""What the demo found: its figures, and whether the sale was exact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.auditing.http import HttpReport
from scripts.auditing.http import as_text as http_as_text
from scripts.auditing.report import Report, as_text
from scripts.sale.sale import Sale, Story
from scripts.sale.table import Display
from scripts.traffic.workload import percentile


def finish(
    file: Path | None,
    display: Display,
    sale: Sale,
    report: Report,
    http: HttpReport,
) -> int:
    """Print verdict and figures, write the figures to a file if asked; return the exit code."""
    summary = summary_of(display.elapsed_s, sale, report, http)
    for line in (*as_text(report), *http_as_text(http), *lines_of(summary, sale, report)):
        display.say(line)
    if file:
        file.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    if report.verdict == "not at rest":
        display.say("NOT AT REST: nothing is wrong so far, but commands wait to be decided")
        return 2
    exact = (
        is_exact(report, http, sale.buyers.plan.seat_count)
        and (sale.rebuild is None or sale.rebuild.is_exact)
        and not sale.pages.left
    )
    display.say(
        "EXACT: nothing lost, nothing doubled, nothing told that was not so"
        if exact
        else "NOT EXACT, see above"
    )
    return 0 if exact else 1


def is_exact(report: Report, http: HttpReport, seats: int) -> bool:
    """Return whether all was sold, answered, issued and allocated once, and nothing is wrong."""
    sold_out = report.sold == report.seats == seats
    answered = answers_in(report) == report.commands
    is_issued = not (report.unissued or report.unallocated or report.issued_twice)
    is_as_sold = is_balanced(report) and is_issued
    return report.is_exact and http.is_exact and is_as_sold and sold_out and answered


def is_balanced(report: Report) -> bool:
    """Return whether the gateway has kept what is sold there, and nothing is left to be done."""
    captured, refunded, price = report.captured, report.refunded, report.price_of_sold
    is_kept = all(
        captured[each] - refunded[each] == price[each]
        for each in captured.keys() | refunded.keys() | price.keys()
    )
    left = report.open_intents + report.compensations
    return is_kept and not (report.money_mismatch or report.charged_twice or left)


def answers_in(report: Report) -> int:
    """Return how many outcomes answer a command: nobody asked for a lapse."""
    return report.outcomes - report.lapses


def summary_of(elapsed_s: float, sale: Sale, report: Report, http: HttpReport) -> dict[str, Any]:
    """Return the figures of the sale by name, as `--summary` writes them."""
    story = sale.story
    latencies = sorted(sale.buyers.latencies_ms)
    figures: dict[str, Any] = {
        "commands": report.commands,
        "outcomes": answers_in(report),
        "duplicate_outcomes": report.repeated,
        "seats": report.seats,
        "sold": report.sold,
        "held": report.held,
        "free": report.free,
        "sold_twice": report.sold_twice,
        "lost": report.lost,
        "status_mismatches": report.status_mismatches,
        "kills": story.kills,
        "pauses": story.pauses,
        "wall_s": round(elapsed_s, 1),
        "decisions_per_s": round(report.outcomes / lasted_s(story), 1),
        "p50_ms": round(percentile(latencies, 0.5), 1),
        "p99_ms": round(percentile(latencies, 0.99), 1),
        "http_requests": http.requests,
        "http_ok": http.ok,
        "http_refused": http.refused,
        "http_pending": http.pending,
        "http_disagreements": len(http.disagreements),
        "http_wrong_refusals": http.wrong_refusals,
        "http_stale_answers": http.stale_answers,
        "http_p50_ms": round(percentile(http.latencies_ms, 0.5), 1),
        "http_p99_ms": round(percentile(http.latencies_ms, 0.99), 1),
        "view_mismatches": http.view_mismatches,
        "payments": report.payments,
        "declined": report.declined,
        # The arena has one currency.
        "captured": report.captured.total(),
        "refunded": report.refunded.total(),
        "price_of_sold": report.price_of_sold.total(),
        "money_mismatch": report.money_mismatch,
        "charged_twice": report.charged_twice,
        "open_intents": report.open_intents,
        "compensations": report.compensations,
        "sold_elsewhere": report.sold_elsewhere,
        "carts": report.carts,
        "carts_half_held": report.carts_half_held,
        "locks_left": report.locks_left,
        "held_over_limit": report.held_over_limit,
        "purchases": report.purchases,
        "tickets": report.tickets,
        "allocations": report.allocations,
        "slots": report.slots,
        "issued_twice": report.issued_twice,
        "caches_left": sale.pages.left,
    }
    if sale.faults:
        figures["faults"] = list(sale.faults)
    if sale.rebuild is not None:
        figures |= sale.rebuild.figures
    return figures


def lines_of(summary: Mapping[str, Any], sale: Sale, report: Report) -> list[str]:
    """Return the figures in words."""
    story = sale.story
    return [
        (
            f"{summary['outcomes']} answers to {report.commands} commands, and"
            f" {report.lapses} holds lapsed; {story.kills} kill, {story.pauses} pause"
        ),
        (
            f"{summary['decisions_per_s']:.0f} decisions/s over {lasted_s(story):.1f} s; produce"
            f" to committed outcome p50 {summary['p50_ms']} ms, p99 {summary['p99_ms']} ms,"
            " outages included"
        ),
        f"HTTP p50 {summary['http_p50_ms']} ms, p99 {summary['http_p99_ms']} ms, outages included",
    ]


def lasted_s(story: Story) -> float:
    """Return how long the sale lasted."""
    return story.sale_to_s - story.sale_from_s
