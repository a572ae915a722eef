"""Draws what buyers do, from a seed: the commands of a load test, encoded before it starts.

A later command (confirm, cancel, extend, repeat) follows its hold by a few hundred commands; both
go to the same partition in order, so no answer is needed to know what it meets.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from scripts.traffic.sending import CommandEncoders
from state.domain.keys import section_key
from state.plans.seating import SectionPlan


class Command(NamedTuple):
    """One record to send; reservation_id is set where it is the first of its id."""

    key: bytes
    value: bytes
    reservation_id: bytes | None


@dataclass(frozen=True, slots=True)
class Mix:
    """What buyers do, as shares of their holds, 0 to 1.

    parties: weight of each party size, from 1 on.
    skew:    0 spreads buyers evenly; 1 gives section n a share as 1/n (Zipf).
    follows: how many commands lie between a hold and what follows it, at most.
    """

    chosen: float = 0.1
    confirm: float = 0.5
    cancel: float = 0.1
    extend: float = 0.05
    duplicate: float = 0.02
    parties: tuple[float, ...] = (2, 5, 2, 2)
    skew: float = 0.0
    follows: int = 400


def draw_commands(
    encoders: CommandEncoders,
    sections: Sequence[SectionPlan],
    event_id: int,
    count: int,
    mix: Mix,
    seed: int,
) -> list[Command]:
    """Return `count` commands in the order in which they are sent."""
    draw = random.Random(seed)  # noqa: S311 - seeded on purpose
    keys = [section_key(event_id, section.section) for section in sections]
    ranks = list(range(len(sections)))
    draw.shuffle(ranks)
    weights = [1 / (rank + 1) ** mix.skew for rank in ranks]
    cumulative = list(accumulate(weights))
    indexes = range(len(sections))
    sizes = range(1, len(mix.parties) + 1)
    slots: list[Command | None] = [None] * count
    run = f"{seed:x}-{draw.getrandbits(32):08x}"

    def later(after: int, command: Command) -> None:
        """Put a command behind another; it is left out where the test ends before."""
        at = after + draw.randint(1, mix.follows)
        while at < count and slots[at] is not None:
            at += 1
        if at < count:
            slots[at] = command

    for at in range(count):
        if slots[at] is not None:
            continue
        (index,) = draw.choices(indexes, cum_weights=cumulative)
        section, key = sections[index], keys[index]
        reservation_id = f"{run}-{at}"
        identity = encoders.identity(reservation_id, f"u{at}", section.section, event_id)
        (party,) = draw.choices(sizes, mix.parties)
        if draw.random() < mix.chosen:
            value = encoders.hold_chosen(identity, chosen_seats(draw, section, party))
        else:
            value = encoders.hold_best(identity, party)
        slots[at] = Command(key, value, reservation_id.encode())
        if draw.random() < mix.duplicate:
            later(at, Command(key, value, None))
        fate = draw.random()
        if fate < mix.confirm:
            later(at, Command(key, encoders.confirm(identity, 1), None))
        elif fate < mix.confirm + mix.cancel:
            later(at, Command(key, encoders.release(identity), None))
        elif fate < mix.confirm + mix.cancel + mix.extend:
            later(at, Command(key, encoders.extend(identity, 1), None))
    return [command for command in slots if command is not None]


def chosen_seats(draw: random.Random, section: SectionPlan, party: int) -> list[tuple[int, int]]:
    """Return neighbours somewhere in the section, as a buyer would click them."""
    row = draw.randrange(len(section.rows))
    seats = section.rows[row].seat_count
    first = draw.randrange(max(1, seats - party + 1))
    return [(row, seat) for seat in range(first, min(seats, first + party))]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of sorted values lies; 0 for none."""
    if not values:
        return 0.0
    return values[min(len(values) - 1, int(share * len(values)))]
