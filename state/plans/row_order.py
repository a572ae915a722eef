"""Positions of a row's seats in; their order, and the gaps between neighbours, out.

The seats of a row that forms a line, straight or bent, are ordered along the line. Seats around a
table, or on its two sides, form no line: they keep the order in which the file lists them.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median_low

AISLE_PITCHES = 1.6
# With so many distances, a row that is set wider than its zone shows it by all of them.
OWN_PITCH_DISTANCES = 3

Point = tuple[float, float]


def order_of(points: Sequence[Point]) -> tuple[list[int], bool]:
    """Return the indexes of the seats in their order, and whether they stand in a line."""
    along = order_along(points)
    if not turns_back([points[index] for index in along]):
        return along, True
    return list(range(len(points))), False


def order_along(points: Sequence[Point]) -> list[int]:
    """Return the indexes of the points along the line between the two ends of the row."""
    # One end of a row that does not turn back is the seat farthest from any other seat; the other
    # end is the seat farthest from that one.
    left = farthest(points, points[0])
    right = farthest(points, points[left])
    along = (points[right][0] - points[left][0], points[right][1] - points[left][1])
    at = [x * along[0] + y * along[1] for x, y in points]
    across = [y * along[0] - x * along[1] for x, y in points]
    if at[-1] < at[0]:
        at = [-value for value in at]
    return sorted(range(len(points)), key=lambda index: (at[index], across[index]))


def farthest(points: Sequence[Point], start: Point) -> int:
    """Return the index of the point farthest from `start`."""
    return max(range(len(points)), key=lambda index: math.dist(points[index], start))


def turns_back(points: Sequence[Point]) -> bool:
    """Say whether the way from point to point turns by more than a right angle anywhere."""
    steps = [(right[0] - left[0], right[1] - left[1]) for left, right in pairwise(points)]
    # Less than nothing by the error of a float: a right angle is none.
    return any(
        here[0] * then[0] + here[1] * then[1] < -1e-9 * math.hypot(*here) * math.hypot(*then)
        for here, then in pairwise(steps)
    )


def pitches(points: Sequence[Point], *, is_line: bool) -> list[float]:
    """Return distances at which seats of a row stand from their neighbours.

    In a row that is no line, the neighbour is whichever seat stands nearest.
    """
    if is_line:
        return [math.dist(left, right) for left, right in pairwise(points)]
    return [
        min(math.dist(here, there) for there in points if there is not here) for here in points
    ]


def aisles_between(points: Sequence[Point], zone_pitch: float, *, is_line: bool) -> list[int]:
    """Return the indexes of the seats that an aisle separates from the seat before.

    zone_pitch: the distance at which neighbours of the zone usually stand.

    An aisle is a gap of more than 1.6 times the usual distance of the row or of the zone,
    whichever is less: a short row may have more aisles than neighbours. A line of four seats or
    more that all stand far apart is simply set wider, and judged by its own usual distance.
    """
    distances = [math.dist(left, right) for left, right in pairwise(points)]
    if not distances:
        return []
    own = median_low(pitches(points, is_line=is_line))
    is_wide = len(distances) >= OWN_PITCH_DISTANCES and min(distances) > AISLE_PITCHES * zone_pitch
    limit = AISLE_PITCHES * (own if is_line and is_wide else min(own, zone_pitch))
    return [index for index, distance in enumerate(distances, start=1) if distance > limit]
