"""Statuses compared with the state that they tell of, section by section.

A status is written in the transaction that changes the state. So one that is read after the state
has the state's version at least, and the same counts where the version is the same.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from scripts.history.section import Layout, bits_of
from scripts.history.timeline import BLOCKED, FREE, largest_run

Fields = dict[str, Any]
SHOWN = 20


class Counts(NamedTuple):
    """A section by its state; sold and blocked stand in no status."""

    version: int
    free: int
    held: int
    sold: int
    blocked: int
    capacity: int
    largest_block: int


class Verdict(StrEnum):
    """How a status stands to its section.

    EQUAL, AHEAD: as it must be; AHEAD: the section has changed since its state was read.
    MISSING: there is none. BEHIND: of an older version. DIFFERS: other counts of one version.
    UNCOUNTED: the state itself does not add up to the section's seats.
    UNKNOWN: a status of no section.
    """

    EQUAL = "equal"
    AHEAD = "ahead"
    MISSING = "missing"
    BEHIND = "behind"
    DIFFERS = "differs"
    UNCOUNTED = "uncounted"
    UNKNOWN = "unknown"


WELL = frozenset({Verdict.EQUAL, Verdict.AHEAD})
WAITS = frozenset({Verdict.MISSING, Verdict.BEHIND})
"""What a worker that is at it may still write."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on every section, by key; seats: of all sections, by use.

    digest: of all keys, versions and counts in the statuses: equal for equal topics.
    """

    verdicts: Mapping[str, Verdict]
    why: Mapping[str, str]
    seats: Mapping[str, int]
    digest: str
    sums: Counter[Verdict] = field(default_factory=Counter)

    @property
    def is_well(self) -> bool:
        return self.sums.keys() <= WELL

    @property
    def may_become_well(self) -> bool:
        """Say whether all that is wrong may still be written."""
        return self.sums.keys() <= WELL | WAITS


def counts_of(state: Fields, rows: list[Fields], blocked: bytes) -> Counts:
    """Return the counts of a section by its stored records; blocked: a bitmap, or empty."""
    layout = Layout(rows)
    free = bits_of(layout, state["free"])
    closed = len(bits_of(layout, blocked)) if blocked else 0
    seats = {place: FREE if place in free else BLOCKED for place in layout.places()}
    return Counts(
        state["version"],
        len(free),
        state["heldCount"],
        state["soldCount"],
        closed,
        len(seats),
        largest_run(seats, layout.aisles()),
    )


def compare(states: Mapping[str, Counts], statuses: Mapping[str, Fields]) -> Comparison:
    """Compare the statuses of all sections with states that were read before them."""
    judged = {
        key: _judged(states.get(key), statuses.get(key)) for key in sorted({*states, *statuses})
    }
    verdicts = {key: verdict for key, (verdict, _) in judged.items()}
    uses = ("free", "held", "sold", "blocked", "capacity")
    seats = {use: sum(getattr(one, use) for one in states.values()) for use in uses}
    return Comparison(
        verdicts,
        {key: why for key, (_, why) in judged.items() if why},
        seats,
        _digest(statuses),
        Counter(verdicts.values()),
    )


def _judged(state: Counts | None, status: Fields | None) -> tuple[Verdict, str]:
    if state is None:
        return Verdict.UNKNOWN, "there is no such section"
    used = state.free + state.held + state.sold + state.blocked
    if used != state.capacity:
        return Verdict.UNCOUNTED, f"{used} seats of {state.capacity} have a use"
    if status is None:
        return Verdict.MISSING, f"version {state.version} was never told"
    version = status["version"]
    if version > state.version:
        return Verdict.AHEAD, ""
    if version < state.version:
        return Verdict.BEHIND, f"version {version}, the state has {state.version}"
    told = status["availableCount"], status["heldCount"], status["largestBlock"]
    is_so = state.free, state.held, state.largest_block
    if told != is_so:
        return Verdict.DIFFERS, f"free, held, largest block are {is_so}, told as {told}"
    return Verdict.EQUAL, ""


def _digest(statuses: Mapping[str, Fields]) -> str:
    lines = [
        f"{key} {one['version']} {one['availableCount']} {one['heldCount']} {one['largestBlock']}"
        for key, one in sorted(statuses.items())
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def as_json(found: Comparison) -> Fields:
    """Return the report for machines."""
    return {
        "verified": found.is_well,
        "sections": len(found.verdicts),
        "sums": {verdict.value: found.sums[verdict] for verdict in Verdict},
        "seats": dict(found.seats),
        "digest": found.digest,
        "wrong": {key: f"{found.verdicts[key]}: {why}" for key, why in found.why.items()},
    }


def as_markdown(found: Comparison, title: str) -> Iterator[str]:
    """Yield the report for people."""
    yield f"# {title}"
    yield ""
    yield "**Verified: nothing is missing.**" if found.is_well else "**Not verified.**"
    yield ""
    yield "| What | Count |"
    yield "| --- | --- |"
    yield f"| sections | {len(found.verdicts)} |"
    for verdict in Verdict:
        yield f"| statuses {verdict.value} | {found.sums[verdict]} |"
    for use, count in found.seats.items():
        yield f"| seats: {use} | {count} |"
    yield ""
    yield f"Digest of all statuses: `{found.digest}`"
    if found.why:
        yield ""
        yield "| Section | Verdict | Why |"
        yield "| --- | --- | --- |"
        for key, why in list(found.why.items())[:SHOWN]:
            yield f"| {key} | {found.verdicts[key]} | {why} |"
        if len(found.why) > SHOWN:
            yield f"| and {len(found.why) - SHOWN} more | | |"
