"""Opens an event: a seating plan file in, one OpenSection command a section out.

    python -m scripts.open_event scripts/sale/arena.json --event-id 1

Opening again with the same plan, prices and rules changes nothing; with others it is refused.
`--dry-run` tells for each section what was taken for an aisle and which seats are not for sale.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import servers
from scripts.command_line import not_below_zero, parser_of, until_stopped
from scripts.program.progress import progress
from scripts.traffic.opening import open_event
from scripts.traffic.sending import NoBroker
from state.domain.layout import OrphanRule, Rules
from state.plans.reading import read_plan
from state.plans.seating import PlanFault, SeatingPlan, without_sale

EXIT_CODES = """exit codes:
  0  every section is open with this plan
  1  at least one section was refused (it is open with another plan, or the plan is unsound)
  2  the plan or an argument does not fit; nothing was sent
  3  broker, topic or registry cannot be reached, or outcomes did not come in time"""

NOTES_SHOWN = 20


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__, prog="open_event", epilog=EXIT_CODES)
    defaults = Rules()
    parser.add_argument("plan", type=Path, help="pretix seating plan or short form, JSON")
    parser.add_argument(
        "--event-id", type=not_below_zero, required=True, help="id of the concert or match"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the plan, send nothing")
    parser.add_argument("--map", type=Path, metavar="FILE", help="write guid -> section,row,seat")
    parser.add_argument(
        "--not-for-sale",
        action="append",
        default=[],
        metavar="CATEGORY",
        help="open the seats of this category as blocked; may be repeated",
    )
    parser.add_argument("--hold-ms", type=int, default=defaults.hold_ms)
    parser.add_argument("--max-hold-ms", type=int, default=defaults.max_hold_ms)
    parser.add_argument("--payment-ms", type=int, default=defaults.payment_ms)
    parser.add_argument(
        "--orphan-rule", choices=[rule.name.lower() for rule in OrphanRule], default="prefer"
    )
    parser.add_argument("--max-seats-per-hold", type=int, default=defaults.max_seats_per_hold)
    parser.add_argument("--sale-starts-ms", type=int, default=0, help="Unix ms; 0: at once")
    parser.add_argument("--sale-ends-ms", type=int, default=0, help="Unix ms; 0: never")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for outcomes")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args(argv)


def write_map(plan: SeatingPlan, file: Path) -> None:
    """Write one line a seat: guid, section, row index, seat index."""
    with file.open("w", encoding="utf-8") as output:
        json.dump(
            {
                guid: [place.section, place.row, place.seat]
                for guid, place in plan.place_by_guid.items()
            },
            output,
            separators=(",", ":"),
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Open the event; return the exit code."""
    arguments = arguments_of(argv)
    given = {one.name: getattr(arguments, one.name) for one in fields(Rules)}
    rules = Rules(**given | {"orphan_rule": OrphanRule[arguments.orphan_rule.upper()]})
    try:
        plan = without_sale(read_plan(arguments.plan), arguments.not_for_sale)
        if arguments.map:
            write_map(plan, arguments.map)
    except PlanFault as fault:
        return failed(2, f"{arguments.plan}: {fault}", as_json=arguments.json)
    except OSError as error:
        return failed(2, f"{error.filename}: {error.strerror}", as_json=arguments.json)
    result = summary_of(plan, arguments.event_id)
    if not arguments.json:
        tell_notes(plan.notes)
    if arguments.dry_run:
        if not arguments.json:
            print(section_table(plan))
        return told(0, result, f"{described(result)}: fits", as_json=arguments.json)
    try:
        with progress("sections open") as told_of:
            opening = open_event(
                servers(),
                plan,
                arguments.event_id,
                rules,
                timeout_s=arguments.timeout,
                progress=told_of,
            )
    except PlanFault as fault:
        return failed(2, str(fault), as_json=arguments.json)
    except (NoBroker, NotUp) as error:
        return failed(3, str(error), as_json=arguments.json)
    result |= {
        "opened": opening.opened,
        "refused": opening.refused,
        "missing": opening.missing,
    }
    if opening.missing:
        text = f"no outcome for {', '.join(opening.missing[:5])} ... Is a worker running?"
        return told(3, result, text, as_json=arguments.json)
    if opening.refused:
        section, reason = next(iter(opening.refused.items()))
        text = f"{len(opening.refused)} sections refused, the first: {section}, {reason}"
        return told(1, result, text, as_json=arguments.json)
    return told(0, result, f"{described(result)}: open", as_json=arguments.json)


def summary_of(plan: SeatingPlan, event_id: int) -> dict[str, object]:
    """Return what machines are told of a plan."""
    return {
        "event_id": event_id,
        "plan": plan.name,
        "sections": len(plan.sections),
        "seats": plan.seat_count,
        "aisles": sum(section.aisle_count for section in plan.sections),
        "not_for_sale": sum(section.not_for_sale_count for section in plan.sections),
        "notes": list(plan.notes),
        "currency": plan.prices.currency,
        "prices": dict(plan.prices.amounts),
    }


def described(result: dict[str, object]) -> str:
    """Return one line about the plan."""
    counts = [f"{result['sections']} sections", f"{result['seats']} seats"]
    counts += [f"{result['aisles']} aisles"] if result["aisles"] else []
    counts += [f"{result['not_for_sale']} not for sale"] if result["not_for_sale"] else []
    return f"{result['plan']}: {', '.join(counts)}"


def tell_notes(notes: Sequence[str]) -> None:
    """Print what a person should look at; a plan of tables has a note for each."""
    for note in notes[:NOTES_SHOWN]:
        print(f"note: {note}", file=sys.stderr)
    if len(notes) > NOTES_SHOWN:
        left = len(notes) - NOTES_SHOWN
        print(f"note: and {left} more of them; --json has all", file=sys.stderr)


def section_table(plan: SeatingPlan) -> str:
    """Return a line a section: its rows, seats, aisles and what is not for sale of it."""
    lines = [f"{'section':32} {'rows':>5} {'seats':>6} {'aisles':>6} {'not for sale':>12}"]
    lines += [
        f"{section.section:32} {len(section.rows):5} {section.seat_count:6}"
        f" {section.aisle_count:6} {section.not_for_sale_count:12}"
        for section in plan.sections
    ]
    return "\n".join(lines)


def told(code: int, result: dict[str, object], text: str, *, as_json: bool) -> int:
    """Print the result; return the exit code."""
    print(json.dumps(result | {"exit_code": code}) if as_json else text)
    return code


def failed(code: int, text: str, *, as_json: bool) -> int:
    """Print why it did not work; return the exit code."""
    if as_json:
        print(json.dumps({"error": text, "exit_code": code}))
    else:
        print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(until_stopped(main))
