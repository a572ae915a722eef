"""The baseline that users know: the same holds on stock Faust, as its documentation teaches.

An agent reads the same command records from the same topic, decodes them with fastavro, keeps
sections and reservations in two tables (RocksDB through rocksdict, with changelogs), and sends one
outcome a command. It does less than the seats do, all in its favour: at-least-once instead of
exactly-once, first fit without the orphan rule, no status, no lapsing, no refusals but "sold out".
A section is a list with one number a row, the most compact thing that JSON can hold; a map with an
object a seat would be many times slower.

Run by `python -m benchmarks.seats stock`.
"""

import io
import os
from functools import partial
from typing import Any

import fastavro
import faust

from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS, subject
from serdes.avro.schema_files import parsed
from serdes.registry.client import Registry, fetch_ids
from serdes.wire import HEADER_BYTES
from state.domain.keys import section_key

_OPEN = "io.seatstream.commands.OpenSection"
_HOLD = "io.seatstream.commands.HoldBestAvailable"

Rows = list[int]


def first_fit(rows: Rows, seat_count: int) -> tuple[int, int] | None:
    """Take the first `seat_count` adjacent free seats; return (row, first seat), or None.

    rows: one number a row, bit i is set while seat i is free; changed in place.
    """
    for row, free in enumerate(rows):
        starts = free
        for _ in range(seat_count - 1):
            starts &= free
            free >>= 1  # noqa: PLW2901  (shifted once for each further seat)
            starts &= free
        if starts:
            first = (starts & -starts).bit_length() - 1
            rows[row] &= ~(((1 << seat_count) - 1) << first)
            return row, first
    return None


def hold(
    sections: Any, reservations: Any, key: str, request: dict[str, Any], seat_count: int
) -> dict[str, Any]:
    """Hold the first seats that fit, and return the outcome."""
    section = sections.get(key)
    seats = None if section is None else first_fit(section["rows"], seat_count)
    outcome = {**request, "outcome": "ReservationRejected" if seats is None else "SeatsHeld"}
    if section is not None and seats is not None:
        outcome["seats"] = [*seats, seat_count]
        section["version"] += 1
        # Assignment is what the changelog sees.
        sections[key] = section
    reservations[request["reservationId"]] = outcome
    return outcome


def build_app() -> Any:
    """Return the app, with the settings of its environment."""
    ids = fetch_ids(Registry(os.environ["SCHEMA_REGISTRY_URL"])).id_by_subject
    open_id, hold_id = (ids[subject(SECTION_COMMANDS, name)] for name in (_OPEN, _HOLD))
    schema_by_id = {open_id: parsed(_OPEN), hold_id: parsed(_HOLD)}
    partitions = SECTION_COMMANDS.partitions

    app = faust.App(
        os.environ["BENCHMARK_APP_ID"],
        broker="kafka://" + os.environ["KAFKA_BROKERS"],
        datadir=os.environ["BENCHMARK_DATA_DIR"],
        store="rocksdb://",
        topic_partitions=partitions,
        topic_disable_leader=True,
        # Its defaults are for few records at a time.
        producer_linger=0.05,
        producer_max_batch_size=1 << 18,
        consumer_max_fetch_size=4 << 20,
        broker_commit_every=10_000,
        stream_buffer_maxsize=16_384,
        stream_wait_empty=False,
    )
    commands = app.topic(
        SECTION_COMMANDS.name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
    outcomes = app.topic(RESERVATION_OUTCOMES.name, key_type=str, value_serializer="json")
    options = {"driver": "rocksdict"}
    sections = app.Table("sections", partitions=partitions, key_type=str, options=dict(options))
    reservations = app.Table(
        "reservations", partitions=partitions, key_type=str, options=dict(options)
    )

    held = partial(hold, sections, reservations)

    async def decide(stream: Any) -> None:
        async for value in stream:
            schema_id = int.from_bytes(value[1:HEADER_BYTES], "big")
            command: Any = fastavro.schemaless_reader(
                io.BytesIO(value[HEADER_BYTES:]), schema_by_id[schema_id], None
            )
            request = command["request"]
            reservation_id = request["reservationId"]
            key = section_key(request["eventId"], request["section"]).decode()
            if schema_id == open_id:
                rows = [(1 << row["seatCount"]) - 1 for row in command["rows"]]
                sections[key] = {"rows": rows, "version": 1}
                outcome = {"reservationId": reservation_id, "outcome": "SectionOpened"}
            else:
                known = reservations.get(reservation_id)
                outcome = known if known is not None else held(key, request, command["seatCount"])
            await outcomes.send(key=reservation_id, value=outcome)

    app.agent(commands, name="decide")(decide)
    return app


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    return build_app()
