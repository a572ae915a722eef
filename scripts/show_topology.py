"""Print the topology as text or as a Mermaid diagram; keep what documents show of it true.

Exit codes: 0 done, 1 a block of a document is out of date, 2 wrong usage.

Example:
    python -m scripts.show_topology --format mermaid
    python -m scripts.show_topology --check README.md     # exit 1 when its block is out of date
    python -m scripts.show_topology --write README.md
    python -m scripts.show_topology --write docs/commands-and-outcomes.md    # its transitions
    python -m scripts.show_topology --write docs/payments.md    # those of a purchase
    python -m scripts.show_topology --write docs/carts.md    # those of a cart
    python -m scripts.show_topology --write docs/booking-queue.md    # those of an item
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from schemas.topics import TOPICS
from scripts.command_line import add_json, cannot, parser_of, tell
from serdes.registry.ids import counted_ids
from state.domain import event, reservation
from state.domain.booking_queue import statuses as queue_statuses
from state.domain.carts.statuses import TRANSITIONS, CartStatus
from state.domain.issued.slots import Rules
from state.domain.purchases import statuses
from state.records.cart_codecs import CartCodecs
from state.records.claim_codecs import ClaimCodecs
from state.records.issued.codecs import IssuingCodecs
from state.records.lock_codecs import LockCodecs
from state.records.payment_codecs import PaymentCodecs
from state.records.seat_codecs import SeatCodecs
from streams import allocate_purchases, invalidate_caches, release_locks
from streams.check_claims.handler import Setup
from streams.fill_tables import handler as filling
from streams.gateways.webhooks import SECRET_BYTES_MIN, Secrets
from streams.route import Route
from streams.schedule_slots import handler as slots
from streams.wiring import Parts
from topology import POD_READS, POD_WRITES, routes

BEGIN = "<!-- topology -->"
END = "<!-- /topology -->"
STATES_BEGIN = "<!-- transitions -->"
STATES_END = "<!-- /transitions -->"
PURCHASES_BEGIN = "<!-- purchases -->"
PURCHASES_END = "<!-- /purchases -->"
CARTS_BEGIN = "<!-- carts -->"
CARTS_END = "<!-- /carts -->"
QUEUE_BEGIN = "<!-- booking queue -->"
QUEUE_END = "<!-- /booking queue -->"

_From = TypeVar("_From", bound=Enum)
_By = TypeVar("_By", bound=Enum)


async def _nobody(words: Sequence[object]) -> list[str]:
    """Write nothing: nobody plays these routes."""
    raise NotImplementedError(f"{len(words)} words")


def all_routes() -> tuple[Route, ...]:
    """Return the routes as a worker plays them, without a registry or a broker."""
    ids = counted_ids()
    issuing, service = IssuingCodecs.of(ids), allocate_purchases.AllocationService("")
    parts = Parts(
        SeatCodecs.of(ids),
        PaymentCodecs.of(ids),
        CartCodecs.of(ids),
        shops=Setup(ClaimCodecs.of(ids), Secrets(bytes(SECRET_BYTES_MIN))),
        locks=release_locks.Setup(LockCodecs.of(ids)),
        issuing=issuing,
        allocating=allocate_purchases.Setup(issuing, service.perform),
        caches=invalidate_caches.Setup(issuing, invalidate_caches.performer(None)),
        scheduling=slots.Setup(issuing, Rules(UTC)),
        tables=filling.Setup(issuing, _nobody),
    )
    return routes(parts)


def as_text(flow: Sequence[Route]) -> str:
    """Return one line a route, and one line a topic."""
    lines = []
    for route in flow:
        lines.append(f"{route.source} -> [{route.role}] -> {', '.join(route.to)}")
        lines.append(f"    state: {route.changelog}; dead letters: {route.dead_letters}")
    lines.append(f"{', '.join(POD_READS)} -> [API pods] -> {', '.join(POD_WRITES)}")
    lines.append("")
    lines.extend(
        f"{topic.name:22} {topic.partitions:3} partitions  {topic.cleanup:8} key: {topic.key}"
        for topic in TOPICS
    )
    return "\n".join(lines)


def as_document(flow: Sequence[Route]) -> dict[str, Any]:
    """Return routes and topics for machines."""
    names = ("role", "source", "to", "changelog", "dead_letters")
    return {
        "routes": [{name: getattr(route, name) for name in names} for route in flow],
        "pods": {"read": list(POD_READS), "write": list(POD_WRITES)},
        "topics": [
            {
                "name": topic.name,
                "partitions": topic.partitions,
                "cleanup": topic.cleanup,
                "key": topic.key,
            }
            for topic in TOPICS
        ],
    }


def as_mermaid(flow: Sequence[Route]) -> str:
    """Return the diagram's source."""
    lines = ["flowchart LR", "    buyers((buyers)) <-- HTTP --> pods([API pods])"]
    lines.extend(f"    pods --> {name}[/{name}/]" for name in POD_WRITES)
    for route in flow:
        handler = f"{route.role}([{route.role}])"
        lines.append(f"    {route.source}[/{route.source}/] --> {handler}")
        lines.extend(f"    {route.role} --> {name}[/{name}/]" for name in route.to)
        lines.append(f"    {route.role} <--> {route.changelog}[({route.changelog})]")
        lines.append(f"    {route.role} -.-> {route.dead_letters}[/{route.dead_letters}/]")
    lines.extend(f"    {name}[/{name}/] --> pods" for name in POD_READS)
    return "\n".join(lines)


def as_states(table: Mapping[_From, Mapping[_By, Enum]]) -> str:
    """Return the source of a diagram of every transition that a table allows."""
    lines = ["stateDiagram-v2"]
    for before, nexts in table.items():
        lines.extend(
            f"    {before.name} --> {after.name}: {by.name}" for by, after in nexts.items()
        )
    return "\n".join(lines)


def as_rows(table: Mapping[CartStatus, Collection[CartStatus]]) -> str:
    """Return a table of what may follow each status of a cart: too much for a diagram."""
    lines = ["| From | To |", "| --- | --- |"]
    for before, nexts in table.items():
        begin = f"`{before.name}`" if before else "nothing"
        lines.append(f"| {begin} | {', '.join(f'`{after.name}`' for after in sorted(nexts))} |")
    return "\n".join(lines)


def _fenced(mermaid: str) -> str:
    return f"```mermaid\n{mermaid}\n```"


def blocks(flow: Sequence[Route]) -> dict[tuple[str, str], str]:
    """Return what belongs between each pair of markers."""
    reservations, events = as_states(reservation.TRANSITIONS), as_states(event.TRANSITIONS)
    states = f"A reservation:\n\n{_fenced(reservations)}\n\nAn event:\n\n{_fenced(events)}"
    return {
        (BEGIN, END): _fenced(as_mermaid(flow)),
        (STATES_BEGIN, STATES_END): states,
        (PURCHASES_BEGIN, PURCHASES_END): _fenced(as_states(statuses.TRANSITIONS)),
        (QUEUE_BEGIN, QUEUE_END): _fenced(as_states(queue_statuses.TRANSITIONS)),
        (CARTS_BEGIN, CARTS_END): f"\n{as_rows(TRANSITIONS)}\n",
    }


def with_block(text: str, flow: Sequence[Route]) -> str:
    """Return a document with its blocks made anew; raise ValueError where it has none."""
    found = False
    for (begin, end), content in blocks(flow).items():
        start, stop = text.find(begin), text.find(end)
        if 0 <= start < stop:
            found = True
            text = f"{text[:start]}{begin}\n{content}\n{text[stop:]}"
    if not found:
        pairs = " or ".join(f"{begin} and {end}" for begin, end in blocks(flow))
        raise ValueError(f"no block between {pairs}")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, or 1 when --check finds an old diagram, or 2 for a document without a block."""
    parser = parser_of(__doc__)
    parser.add_argument("--format", choices=("text", "mermaid"), default="text")
    parser.add_argument("--check", type=Path, metavar="FILE", help="is the diagram up to date?")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the diagram anew")
    add_json(parser)
    options = parser.parse_args(arguments)
    flow = all_routes()
    path: Path | None = options.check or options.write
    if options.json and path is None:
        tell((), as_document(flow), as_json=True)
        return 0
    if path is None:
        print(as_mermaid(flow) if options.format == "mermaid" else as_text(flow))
        return 0
    try:
        text = path.read_text(encoding="utf-8")
        fresh = with_block(text, flow)
    except (OSError, ValueError) as error:
        return cannot("show_topology", f"{path}: {error}", as_json=options.json)
    if options.write:
        path.write_text(fresh, encoding="utf-8")
        return 0
    if fresh != text:
        print(f"{path}: the diagram is out of date; run with --write {path}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
