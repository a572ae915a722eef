"""Print the topology as text or as a Mermaid diagram; keep the README's diagram true.

Example:
    python -m scripts.show_topology --format mermaid
    python -m scripts.show_topology --check README.md     # exit 1 when its block is out of date
    python -m scripts.show_topology --write README.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas.topics import TOPICS
from serdes.registry.ids import counted_ids
from state.records.seat_codecs import SeatCodecs
from streams.route import Route
from topology import POD_READS, POD_WRITES, routes

BEGIN = "<!-- topology -->"
END = "<!-- /topology -->"


def all_routes() -> tuple[Route, ...]:
    """Return the routes as a worker plays them, without a registry or a broker."""
    return routes(SeatCodecs.of(counted_ids()), cached_seats=1_000_000)


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


def block(flow: Sequence[Route]) -> str:
    """Return the README's block, markers included."""
    return f"{BEGIN}\n```mermaid\n{as_mermaid(flow)}\n```\n{END}"


def with_block(text: str, flow: Sequence[Route]) -> str:
    """Return a document with its block made anew; raise ValueError where it has none."""
    start, end = text.find(BEGIN), text.find(END)
    if start < 0 or end < start:
        raise ValueError(f"no block between {BEGIN} and {END}")
    return text[:start] + block(flow) + text[end + len(END) :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, or 1 when --check finds an old diagram, or 2 for a document without a block."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--format", choices=("text", "mermaid"), default="text")
    parser.add_argument("--check", type=Path, metavar="FILE", help="is the diagram up to date?")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the diagram anew")
    options = parser.parse_args(arguments)
    flow = all_routes()
    path: Path | None = options.check or options.write
    if path is None:
        print(as_mermaid(flow) if options.format == "mermaid" else as_text(flow))
        return 0
    text = path.read_text(encoding="utf-8")
    try:
        fresh = with_block(text, flow)
    except ValueError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    if options.write:
        path.write_text(fresh, encoding="utf-8")
        return 0
    if fresh != text:
        print(f"{path}: the diagram is out of date; run with --write {path}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
