"""How much each scenario of `benchmarks.pods` does, and how much where figures do not matter."""

from dataclasses import dataclass

from benchmarks.pod_runs.statuses import Hall

HALL = Hall(40, 20)
LARGE_HALL = Hall(500, 200)
SMALL_HALL = Hall(20, 10)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    hall:               events and sections that are asked for.
    connections:        of the load generator, for look-ups.
    reserving:          the same for reservations, one load after the other.
    large:              events and sections of the cold start.
    used_versions:      statuses of each section of `hall` that a start on a used topic reads.
    slimming_hall:      smaller, since every seat map has 100 kB.
    """

    hall: Hall = HALL
    updates_per_s: int = 2_000
    connections: int = 32
    warm_up_s: float = 5.0
    seconds: float = 20.0
    large: Hall = LARGE_HALL
    used_versions: int = 670
    settle_s: float = 3.0
    reserving: tuple[int, ...] = (4, 64)
    arena_sections: int = 800
    reserving_s: float = 15.0
    slimming_hall: Hall = SMALL_HALL
    slimming_per_s: int = 1_000
    slimming_s: float = 10.0
    flood_slim: int = 200_000
    flood_map: int = 1_500
    coding: int = 200


QUICK = Sizes(
    hall=Hall(4, 5),
    updates_per_s=200,
    connections=4,
    warm_up_s=1.0,
    seconds=1.0,
    large=Hall(10, 20),
    used_versions=3,
    settle_s=0.0,
    reserving=(4,),
    arena_sections=10,
    reserving_s=1.0,
    slimming_hall=Hall(2, 5),
    slimming_per_s=50,
    slimming_s=1.0,
    flood_slim=1_000,
    flood_map=50,
    coding=2,
)
