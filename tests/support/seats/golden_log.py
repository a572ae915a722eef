"""The recorded log of a release: commands, what each was answered with, and the state behind it.

    PYTHONPATH=.:tests python -m support.seats.golden_log v4

writes tests/golden/logs/v4.jsonl.

v1 has the ticks of the first rules, v2 those after which time follows no jump, v3 has prices, and
v4 payments.

A log is kept in the form that its schemas had. What today's code makes of it is compared in that
form too: what has been added since must have its default there.

Schema ids differ from registry to registry, so records are kept as name and body.
"""

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from support.seats.section_commands import (
    ELSEWHERE,
    IDS,
    A,
    B,
    C,
    Pair,
    Partition,
    block,
    confirm,
    extend,
    fail_payment,
    guarded_tick,
    hold,
    hold_chosen,
    open_section,
    refund_seats,
    release,
    sale_window,
    start_payment,
    tick,
    unblock,
)

from infra.paths import ROOT
from schemas.topics import SECTION_COMMANDS, subject
from serdes.avro.codegen import Decode, Encode, decoder, encoder_of
from serdes.avro.schema_files import HISTORY, SCHEMA_ROOT, current, load
from serdes.avro.stored import stored_decoder
from serdes.registry.ids import RegisteredSchema
from serdes.wire import HEADER_BYTES, header_of
from state.domain.keys import LAYOUT, RESERVATION
from state.domain.layout import OrphanRule
from state.domain.reservation import PaymentFailure
from state.records.names import IDENTITY_FIELDS
from state.records.seat_codecs import SeatCodecs
from streams.change_sections import change_sections
from streams.driver import PipedRecord

FOLDER = ROOT / "tests" / "golden" / "logs"
RECORDS = 600

# Of the first two sections; the third has none.
_PRICES = (
    {"currency": "EUR", "amounts": (4_500, 2_950, 0)},
    {"currency": "KRW", "amounts": (99_000,)},
)

_NAME_BY_HEADER = {
    header_of(schema_id): subject.partition("-io.")[2]
    for subject, schema_id in IDS.id_by_subject.items()
}
# What of the store has changed its form.
_NAME_BY_TAG = {
    LAYOUT: "io.seatstream.state.SectionLayout",
    RESERVATION: "io.seatstream.state.Reservation",
}
_SCHEMAS_BY_LOG = {"v1": "v1", "v2": "v1", "v3": "v2", "v4": "v3"}
_FORMER_ID = 900
_HEADER_BY_NAME = {name: header for header, name in _NAME_BY_HEADER.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """One record of the log, the outcomes it led to and the digest of the state behind it."""

    at_ms: int
    key: bytes | None
    value: bytes | None
    outcomes: list[bytes]
    state: str


def steps(release_name: str) -> list[Step]:
    """Read a recorded log."""
    lines = (FOLDER / f"{release_name}.jsonl").read_text(encoding="ascii").splitlines()
    return [
        Step(
            line["at_ms"],
            None if line["key"] is None else bytes.fromhex(line["key"]),
            _value(line["value"]),
            [value for value in map(_value, line["outcomes"]) if value is not None],
            line["state"],
        )
        for line in map(json.loads, lines)
    ]


def replayed(log: list[Step], release_name: str) -> Iterator[tuple[list[bytes], str]]:
    """Fold the records one by one; give the outcomes of each and the state behind it."""
    release = _SCHEMAS_BY_LOG[release_name]
    files = load(SCHEMA_ROOT / HISTORY / release)
    codecs = SeatCodecs.of(IDS)
    # A registry gives another version another id.
    name = SECTION_COMMANDS.records[0]
    codecs.commands.learn(
        _FORMER_ID, RegisteredSchema((subject(SECTION_COMMANDS, name),), files.text(name))
    )
    partition = Partition(handler=change_sections(codecs))
    for offset, step in enumerate(log):
        value = step.value
        if value is not None and value[:HEADER_BYTES] == _HEADER_BY_NAME[name.removeprefix("io.")]:
            value = header_of(_FORMER_ID) + value[HEADER_BYTES:]
        record = PipedRecord("section-commands", 0, offset, step.at_ms, step.key, value)
        outcomes = [
            told[:HEADER_BYTES]
            + in_form_of(
                release, "io." + _NAME_BY_HEADER[told[:HEADER_BYTES]], told[HEADER_BYTES:]
            )
            for told in partition.fold([record])
        ]
        yield outcomes, state_digest(partition, release)


@cache
def _forms(release: str, name: str) -> tuple[Decode, Decode, Encode, slice]:
    """Return today's decoders of a record, a release's encoder, and which fields that takes.

    The second decoder also reads what releases wrote.
    """
    former = load(SCHEMA_ROOT / HISTORY / release).inlined(name)
    # An identity is read as its fields and its bytes, and written as its bytes.
    first = former["fields"][0]["type"]
    begin = IDENTITY_FIELDS if isinstance(first, dict) and first["type"] == "record" else 0
    had = slice(begin, begin + len(former["fields"]))
    return decoder(name), stored_decoder(name), encoder_of(former), had


@cache
def is_as_in(release: str, name: str) -> bool:
    """Say whether today's code writes a record as a release did."""
    former = load(SCHEMA_ROOT / HISTORY / release)
    return name in former.by_name and former.fingerprint(name) == current().fingerprint(name)


def in_form_of(release: str, name: str, body: bytes) -> bytes:
    """Return a record as a release wrote it.

    Fails where something that the release could not say is more than a default.
    """
    if is_as_in(release, name):
        return body
    decode, decode_stored, encode, had = _forms(release, name)
    fields = decode(body, 0)
    former = encode(*fields[had])
    assert decode_stored(former, 0) == fields, f"{name}: {fields[had.stop :]}"
    return former


def state_digest(partition: Partition, release: str = "") -> str:
    """Return the digest of every key and payload of the store, in key order.

    release: in whose form the payloads are to be; empty for today's.
    """
    digest = hashlib.sha256()
    for key, stored in partition.stored().items():
        name = _NAME_BY_TAG.get(key[:1], "")
        payload = in_form_of(release, name, stored) if release and name else stored
        digest.update(b"%d %d " % (len(key), len(payload)) + key + payload)
    return digest.hexdigest()[:16]


def _value(kept: list[str] | None) -> bytes | None:
    if kept is None:
        return None
    name, body = kept
    return _HEADER_BY_NAME.get(name, b"") + bytes.fromhex(body)


def _kept(value: bytes | None) -> list[str] | None:
    if value is None:
        return None
    name = _NAME_BY_HEADER.get(value[:HEADER_BYTES], "")
    return [name, (value[HEADER_BYTES:] if name else value).hex()]


def _drawn(
    chance: random.Random,
    now_ms: int,
    number: int,
    ticked: Callable[[int], Pair],
    *,
    has_payments: bool,
) -> Pair:
    """Return one command of any kind, for few enough reservations that they meet."""
    reservation = number // 10 + chance.randrange(6)
    rid = f"r{reservation}"
    section = chance.choice([(A, A, A, B, C)[reservation % 5]] * 12 + [A, ELSEWHERE])
    who: dict[str, Any] = {"section": section, "user": chance.choice(["ann"] * 12 + ["bob"])}
    seats = [(chance.randrange(3), chance.randrange(-1, 8)) for _ in range(chance.randint(1, 4))]
    ranges = [chance.choice([(0, 6, 2), (1, 0, 1), (0, 0, 1)])]
    epoch = chance.choice([1] * 7 + [0, 2])
    # For a while every timer is slow, so that the skew between the two clocks decides.
    timer_ms = now_ms + (-4_900 if number % 300 > 150 else chance.choice([0, 0, -4_000, 4_000]))
    draws: list[Pair] = [
        *[hold(rid, chance.choice([1, 1, 2, 3, 9]), **who)] * 12,
        *[hold_chosen(rid, seats, **who)] * 4,
        *[confirm(rid, epoch, **who)] * 3,
        *[release(rid, epoch, **who)] * 2,
        *[extend(rid, epoch, **who)] * 5,
        block(ranges, **who),
        unblock(ranges, **who),
        sale_window(
            chance.choice([0, now_ms - 1]), chance.choice([0] * 7 + [now_ms + 4_000]), **who
        ),
        (b"k", b"\0\0\0\0\1rubbish"),
        (b"k", None),
        *[ticked(timer_ms)] * 5,
    ]
    if has_payments:
        gateway = chance.choice(["mock", "mock", "other"])
        draws += [
            *[start_payment(rid, epoch, gateway=gateway, **who)] * 6,
            *[confirm(rid, epoch, **who)] * 3,
            *[fail_payment(rid, chance.choice(list(PaymentFailure)), epoch, **who)] * 3,
            *[refund_seats(rid, epoch, **who)] * 3,
        ]
    return chance.choice(draws)


def _record(
    file: Path,
    ticked: Callable[[int], Pair],
    prices: Sequence[dict[str, Any]],
    *,
    has_payments: bool,
) -> None:
    chance = random.Random(11)
    partition = Partition()
    opening = [
        open_section(
            "........\n....|....\n......",
            rule=OrphanRule.PREFER,
            hold_ms=3_000,
            max_hold_ms=9_000,
            **prices[0],
        ),
        open_section(
            "....\n.....",
            section=B,
            rule=OrphanRule.STRICT,
            hold_ms=10_000,
            max_hold_ms=30_000,
            **prices[1],
        ),
        open_section(
            "......\n...",
            section=C,
            blocked=[(0, 0, 2)],
            limit=3,
            hold_ms=2_000,
            max_hold_ms=2_000,
        ),
    ]
    lines = []
    for number in range(RECORDS):
        partition.now_ms += chance.choice([0, 0, 1, 37, 100, 400])
        pair = (
            opening[number]
            if number < len(opening)
            else _drawn(chance, partition.now_ms, number, ticked, has_payments=has_payments)
        )
        (record,) = partition.append(pair)
        outcomes = partition.fold([record])
        line: dict[str, Any] = {
            "at_ms": record.timestamp,
            "key": None if record.key is None else record.key.hex(),
            "value": _kept(record.value),
            "outcomes": [_kept(value) for value in outcomes],
            "state": state_digest(partition),
        }
        lines.append(json.dumps(line, separators=(",", ":")))
    file.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    has_prices = sys.argv[1] not in {"v1", "v2"}
    _record(
        FOLDER / f"{sys.argv[1]}.jsonl",
        tick if sys.argv[1] == "v1" else guarded_tick,
        _PRICES if has_prices else ({}, {}),
        has_payments=has_prices and sys.argv[1] != "v3",
    )
