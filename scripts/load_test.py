"""Drives section commands at an offered rate, or flat out, and measures until the outcome.

    python -m scripts.load_test --event-id 9 --rate 5000 --commands 100000
    python -m scripts.load_test --event-id 9 --flat-out --commands 500000 --skew 1

Opens the event first (from --plan, or sections x rows x seats), then sends commands that were
encoded before the clock starts. Latency is from produce to the committed outcome at a
`read_committed` reader, for the first command of each reservation. The same seed sends the same
commands. Ends by itself: when every outcome is there, or --wait seconds after the last command.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.brokers.addresses import NotUp, Servers
from scripts.brokers.answering import servers
from scripts.command_line import cannot, not_below_zero, parser_of, tell
from scripts.traffic.load import OutcomeMeter, drive, summary
from scripts.traffic.opening import open_event
from scripts.traffic.sending import (
    CommandEncoders,
    CommandSender,
    NoBroker,
    OutcomeReader,
    schema_ids,
)
from scripts.traffic.workload import Mix, draw_commands
from state.domain.layout import OrphanRule, Rules
from state.plans.reading import read_plan
from state.plans.seating import PlanFault, SeatingPlan, SectionPlan, check_record_size
from state.plans.short_form import read_rows

EXIT_CODES = """exit codes:
  0    every command got its outcome
  1    outcomes are missing
  2    an argument or the plan does not fit
  3    broker, topic or registry cannot be reached
  130  stopped with Ctrl-C; what was measured until then is printed"""


def run(
    where: Servers, plan: SeatingPlan, arguments: argparse.Namespace
) -> tuple[int, dict[str, Any]]:
    """Open, send, wait; return the exit code and the result."""
    open_or_refuse(where, plan, arguments)
    ids = schema_ids(where.registry_url, where.brokers, kafka=where.kafka)
    commands = draw_commands(
        CommandEncoders(ids),
        plan.sections,
        arguments.event_id,
        arguments.commands,
        mix_of(arguments),
        arguments.seed,
    )
    meter = OutcomeMeter(OutcomeReader(where.brokers, ids, kafka=where.kafka))
    sender = CommandSender(where.brokers, linger_ms=arguments.linger_ms, kafka=where.kafka)
    rate = None if arguments.flat_out else arguments.rate
    driven = drive(commands, sender, meter, rate, arguments.wait)
    result = summary(meter.measured, sender, driven, rate, arguments.seed)
    if driven.is_interrupted:
        return 130, result
    return (1 if result["missing"] or meter.error else 0), result


def open_or_refuse(where: Servers, plan: SeatingPlan, arguments: argparse.Namespace) -> None:
    """Open every section of the plan; raises NoBroker, and PlanFault for a section refused."""
    rules = Rules(orphan_rule=OrphanRule.PREFER, hold_ms=arguments.hold_ms)
    opening = open_event(where, plan, arguments.event_id, rules)
    if opening.missing:
        raise NoBroker(f"section {opening.missing[0]} does not open. Is a worker running?")
    if opening.refused:
        section, reason = next(iter(opening.refused.items()))
        raise PlanFault("", f"section {section} refused: {reason}", "Take another --event-id")


def mix_of(arguments: argparse.Namespace) -> Mix:
    """Return what the buyers do, as the command line says."""
    return Mix(
        chosen=arguments.chosen,
        confirm=arguments.confirm,
        cancel=arguments.cancel,
        extend=arguments.extend,
        duplicate=arguments.duplicate,
        parties=tuple(arguments.parties),
        skew=arguments.skew,
    )


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def party_weights(text: str) -> list[float]:
    """Return weights such as `2,5,2,2`, for parties of 1, 2, 3, 4."""
    weights = [float(part) for part in text.split(",")]
    if not 1 <= len(weights) <= 8 or min(weights) < 0 or not sum(weights):
        raise argparse.ArgumentTypeError("give 1 to 8 weights, not all zero")
    return weights


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__, prog="load_test", epilog=EXIT_CODES)
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=float, default=1_000.0, help="commands a second")
    pace.add_argument("--flat-out", action="store_true", help="as fast as the producer goes")
    parser.add_argument("--commands", type=int, default=20_000, help="how many, at most 5,000,000")
    parser.add_argument("--event-id", type=not_below_zero, required=True)
    parser.add_argument("--plan", type=Path, help="seating plan; else sections x rows x seats:")
    parser.add_argument("--sections", type=int, default=100)
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--seats", type=int, default=100, help="seats of each row")
    parser.add_argument("--hold-ms", type=int, default=600_000)
    parser.add_argument("--parties", type=party_weights, default=[2, 5, 2, 2])
    parser.add_argument("--chosen", type=share, default=0.1, help="share of holds of chosen seats")
    parser.add_argument("--confirm", type=share, default=0.5, help="share of holds confirmed")
    parser.add_argument("--cancel", type=share, default=0.1, help="share of holds cancelled")
    parser.add_argument("--extend", type=share, default=0.05, help="share of holds extended")
    parser.add_argument("--duplicate", type=share, default=0.02, help="share of holds sent twice")
    parser.add_argument("--skew", type=float, default=0.0, help="0 even, 1 Zipf over sections")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--linger-ms", type=int, default=5)
    parser.add_argument(
        "--wait", type=float, default=30.0, help="seconds of silence before the end"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent; send none")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.commands <= 5_000_000:
        parser.error("--commands: 1 to 5,000,000")
    if not arguments.flat_out and not 0 < arguments.rate <= 1e6:
        parser.error("--rate: above 0")
    if arguments.confirm + arguments.cancel + arguments.extend > 1:
        parser.error("--confirm, --cancel and --extend are shares of one whole")
    return arguments


def plan_of(arguments: argparse.Namespace) -> SeatingPlan:
    """Return the plan of a file, or of as many equal sections as asked for."""
    if arguments.plan:
        return read_plan(arguments.plan)
    # Not through a file's text: the limits of a file protect a process from strangers.
    rows = tuple(read_rows({"rows": arguments.rows, "seats": arguments.seats}, "arguments"))
    sections = [
        SectionPlan(f"S{number}", f"S{number}", rows, f"section {number}")
        for number in range(1, arguments.sections + 1)
    ]
    check_record_size(sections[0])
    return SeatingPlan("load test", tuple(sections), {})


def told_only(plan: SeatingPlan, arguments: argparse.Namespace) -> int:
    """Say what would be sent; return the exit code."""
    pace = "flat out" if arguments.flat_out else f"at {arguments.rate:g}/s"
    sections = f"{len(plan.sections)} sections of {plan.seat_count} seats"
    lines = [
        f"open event {arguments.event_id}: {sections}",
        f"send {arguments.commands} commands {pace}",
    ]
    tell(lines, {"steps": lines}, as_json=arguments.json)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the test; return the exit code."""
    arguments = arguments_of(argv)
    try:
        plan = plan_of(arguments)
        if arguments.dry_run:
            return told_only(plan, arguments)
        code, result = run(servers(), plan, arguments)
    except (PlanFault, OSError) as error:
        return cannot("load_test", error, as_json=arguments.json)
    except (NoBroker, NotUp) as error:
        return cannot("load_test", error, as_json=arguments.json, code=3)
    except KeyboardInterrupt:
        print("stopped before anything was measured", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(result))
        return code
    latency = ", ".join(f"{name} {value}" for name, value in result["latency_ms"].items())
    print(f"sent      {result['commands']} commands, {result['sent_per_s']}/s")
    print(
        f"decided   {result['outcomes']}, {result['decisions_per_s']}/s over {result['wall_s']} s"
    )
    print(f"missing   {result['missing']}")
    print(f"latency   {latency} ms, produce to committed outcome")
    for reason, count in result["by_reason"].items():
        print(f"          {count:>9}  {reason}")
    print(f"seed      {result['seed']}")
    return code


if __name__ == "__main__":
    sys.exit(main())
