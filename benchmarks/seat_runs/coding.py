"""What one status record costs to write and to read: slim, and as a whole seat map."""

import timeit
from collections.abc import Callable

from benchmarks.measuring.cluster import Cluster
from benchmarks.pod_runs.statuses import (
    SEATS,
    Form,
    Hall,
    StatusWriter,
    read_seat_map,
    seat_map_bytes,
    seats,
)
from schemas.topics import SECTION_STATUS
from serdes.decoding import TopicDecoder


def coding_costs(cluster: Cluster, repeats: int) -> dict[str, float]:
    """Return sizes, and the time to write and to read one record of each form."""
    hall = Hall(1, 1)
    section = b"S0000"
    slim_writer = StatusWriter(hall, Form.SLIM, cluster.ids)
    slim = slim_writer.value(0, 1, 0)
    decode = TopicDecoder(SECTION_STATUS, cluster.ids).decode
    counts = (1, section.decode(), SEATS // 2, 0, 1, SEATS // 2, 50)
    seats_in_it = seats(SEATS // 2)
    whole = seat_map_bytes(counts, seats_in_it)
    us = {
        "map_encode_us": _us(lambda: seat_map_bytes(counts, seats_in_it), repeats),
        "map_decode_us": _us(lambda: read_seat_map(whole), repeats),
        "slim_encode_us": _us(lambda: slim_writer.value(0, 1, 0), 100 * repeats),
        "slim_decode_us": _us(lambda: decode(slim), 100 * repeats),
    }
    map_us = us["map_encode_us"] + us["map_decode_us"]
    slim_us = us["slim_encode_us"] + us["slim_decode_us"]
    return {
        "map_bytes": float(len(whole)),
        "slim_bytes": float(len(slim)),
        **us,
        "coding_saved_percent": (1 - slim_us / map_us) * 100,
    }


def _us(call: Callable[[], object], repeats: int) -> float:
    """Return the time of one call: the fastest of three rounds, so that nobody else counts."""
    return min(timeit.repeat(call, number=repeats, repeat=3)) / repeats * 1e6
