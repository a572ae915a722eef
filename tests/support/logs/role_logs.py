"""The recorded logs of roles: records of a source, what each led to, and the state behind it.

    PYTHONPATH=.:tests python -m support.logs.day_of_sales v5

writes tests/golden/logs/{role}/v5.jsonl for each role: the name is that of the release of the
schemas. Logs of sections alone, from before there were other roles, are beside those folders
(`support.seats.golden_log`).

A log keeps the schema ids that it was written with: its first line lists them, and its topic. What
today's code makes of it is compared in the form that the release had (`in_form_of`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support.issuing.after_the_money import nobody
from support.payments.claims import SECRET
from support.seats.golden_log import in_form_of, is_as_in

from infra.paths import ROOT
from schemas.topics import TOPICS, subject, subjects
from serdes.avro.schema_files import HISTORY, SCHEMA_ROOT, load
from serdes.decoding import TopicDecoder
from serdes.registry.ids import RegisteredSchema, SchemaIds
from serdes.wire import HEADER_BYTES, header_of
from state.domain import keys
from state.records.cart_codecs import CartCodecs
from state.records.claim_codecs import ClaimCodecs
from state.records.issued.codecs import IssuingCodecs
from state.records.lock_codecs import LockCodecs
from state.records.payment_codecs import PaymentCodecs
from state.records.seat_codecs import SeatCodecs
from streams import allocate_purchases, issue_purchases, release_locks
from streams.check_claims import handler as claims
from streams.driver import PipedRecord, TopologyDriver
from streams.gateways.webhooks import Secrets
from streams.route import Route
from streams.wiring import Parts
from topology import routes

FOLDER = ROOT / "tests" / "golden" / "logs"

_STATE = "io.seatstream.state."
# Names of the stored records, by role and tag; what has no schema is compared whole.
_STORED = {
    "seats": {
        keys.SECTION: _STATE + "SectionState",
        keys.LAYOUT: _STATE + "SectionLayout",
        keys.BLOCKED: _STATE + "BlockedSeats",
        keys.RESERVATION: _STATE + "Reservation",
    },
    "payments": {
        keys.PURCHASE: _STATE + "Purchase",
        keys.PAYMENT_OF_GATEWAY: _STATE + "PaymentOfGateway",
        keys.COMPENSATION: _STATE + "OpenCompensation",
        keys.PURCHASE_COUNTS_KEY: _STATE + "PurchaseCounts",
    },
    "carts": {keys.CART: _STATE + "Cart", keys.BUYER: _STATE + "BuyerCarts"},
    issue_purchases.ROLE: {keys.ISSUED: _STATE + "IssuedPurchase"},
    allocate_purchases.ROLE: {keys.ALLOCATED: _STATE + "Allocation"},
}
# Ids for what the log did not have, or had in another form.
_NEWER = 100_000

Written = tuple[str, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""A record that was told: topic, key, value, headers."""


@dataclass(frozen=True, slots=True)
class Step:
    """One record of a log, and what it led to.

    letters: reasons of the dead letters. state: digest of the store behind it.
    """

    record: PipedRecord
    told: list[Written]
    letters: list[str]
    state: str


class NamedGateway:
    """A gateway of which only the name is asked."""

    name = "mock"


def flow(ids: SchemaIds) -> tuple[tuple[Route, ...], tuple[TopicDecoder, ...]]:
    """Return all routes, and the decoders of their sources, with these ids."""
    of_seats, of_payments, of_carts = SeatCodecs.of(ids), PaymentCodecs.of(ids), CartCodecs.of(ids)
    of_claims, of_locks, of_issuing = (
        ClaimCodecs.of(ids),
        LockCodecs.of(ids),
        IssuingCodecs.of(ids),
    )
    named: Any = [NamedGateway()]
    parts = Parts(
        of_seats,
        of_payments,
        of_carts,
        cached_seats=1_000,
        gateways=named,
        shops=claims.Setup(of_claims, Secrets(SECRET)),
        locks=release_locks.Setup(of_locks),
        issuing=of_issuing,
        allocating=allocate_purchases.Setup(of_issuing, nobody),
    )
    return routes(parts), parts.decoders


def recorded() -> list[tuple[str, str]]:
    """Return (role, release) of each log."""
    return sorted((path.parent.name, path.stem) for path in FOLDER.glob("*/v*.jsonl"))


def ids_of(route: Route, ids: SchemaIds) -> dict[str, int]:
    """Return the ids by subject of all that a route reads and writes."""
    spoken = {route.source, *route.to}
    return {
        name: ids.id_by_subject[name]
        for topic in TOPICS
        if topic.name in spoken
        for name in (subject(topic, record) for record in topic.records)
    }


def folded(route: Route, records: Sequence[PipedRecord], form: "Form") -> Iterator[Step]:
    """Fold the records of one partition one by one; give what each led to."""
    driver = TopologyDriver([route], relays=False)
    for record in records:
        before = len(driver.dead_letters)
        driver.replay(route.source, 0, [record])
        told = [
            (topic, one.key, form.value(one.value), tuple(one.headers))
            for topic in route.to
            for one in driver.read(topic)
        ]
        letters = [letter.reason for letter in driver.dead_letters[before:]]
        yield Step(record, told, letters, form.digest(route.role, driver.stored(route.source, 0)))


@dataclass(frozen=True, slots=True)
class Form:
    """The form that a release had.

    newer: (record, id then) by today's header, of what has another form since.
    """

    release: str
    newer: Mapping[bytes, tuple[str, int]]

    def value(self, value: bytes | None) -> bytes | None:
        """Return a value that today's code has written as the release would have."""
        if value is None or value[:HEADER_BYTES] not in self.newer:
            return value
        name, schema_id = self.newer[value[:HEADER_BYTES]]
        return header_of(schema_id) + in_form_of(self.release, name, value[HEADER_BYTES:])

    def digest(self, role: str, stored: Mapping[bytes, bytes]) -> str:
        """Return the digest of every key and payload of a store, in key order."""
        digest = hashlib.sha256()
        names = _STORED.get(role, {})
        for key, payload in stored.items():
            name = names.get(key[:1], "")
            kept = in_form_of(self.release, name, payload) if name else payload
            digest.update(b"%d %d " % (len(key), len(kept)) + key + kept)
        return digest.hexdigest()[:16]


def replayed(role: str, release: str) -> tuple[list[Step], Iterator[Step]]:
    """Return a recorded log, and what today's code makes of it."""
    head, log = _read(role, release)
    route, form = _as_then(role, release, head["ids"])
    return log, folded(route, [step.record for step in log], form)


def names_met(role: str, release: str) -> set[str]:
    """Return the full names of all records that a log has, read or told."""
    head, log = _read(role, release)
    by_header = {header_of(then): subjects()[name] for name, then in head["ids"].items()}
    values = [
        value for step in log for value in (step.record.value, *(one[2] for one in step.told))
    ]
    headers = {value[:HEADER_BYTES] for value in values if value is not None}
    return {by_header[header] for header in headers & by_header.keys()}


def _read(role: str, release: str) -> tuple[dict[str, Any], list[Step]]:
    text = (FOLDER / role / f"{release}.jsonl").read_text(encoding="ascii")
    head, *lines = map(json.loads, text.splitlines())
    return head, [_step(head["source"], offset, line) for offset, line in enumerate(lines)]


def _as_then(role: str, release: str, ids_then: Mapping[str, int]) -> tuple[Route, Form]:
    """Return a route that speaks the ids of a log, and the form of its release."""
    files = load(SCHEMA_ROOT / HISTORY / release)
    ids, newer = {}, {}
    for number, (name, record) in enumerate(subjects().items()):
        then = ids_then.get(name)
        is_same = is_as_in(release, record)
        ids[name] = then if then is not None and is_same else _NEWER + number
        if then is not None and not is_same:
            newer[header_of(ids[name])] = record, then
    played, decoders = flow(SchemaIds(ids, "a log"))
    for name, then in ids_then.items():
        if ids[name] != then:
            for decoder in decoders:
                decoder.learn(then, RegisteredSchema((name,), files.text(subjects()[name])))
    [route] = [one for one in played if one.role == role]
    return route, Form(release, newer)


def line_of(step: Step) -> dict[str, Any]:
    """Return a step as a line of a file has it."""
    one = step.record
    return {
        "at_ms": one.timestamp,
        "record": _hexed(one.key, one.value, one.headers),
        "told": [[topic, *_hexed(*written)] for topic, *written in step.told],
        "letters": step.letters,
        "state": step.state,
    }


def _step(source: str, offset: int, line: dict[str, Any]) -> Step:
    record = PipedRecord(source, 0, offset, line["at_ms"], *_unhexed(*line["record"]))
    told: list[Written] = [(topic, *_unhexed(*written)) for topic, *written in line["told"]]
    return Step(record, told, line["letters"], line["state"])


def _hexed(key: Any, value: Any, headers: Any) -> list[Any]:
    texts = [None if one is None else one.hex() for one in (key, value)]
    return [*texts, [[name, held.hex()] for name, held in headers]]


def _unhexed(key: Any, value: Any, headers: Any) -> tuple[Any, Any, Any]:
    key, value = (None if one is None else bytes.fromhex(one) for one in (key, value))
    return key, value, tuple((name, bytes.fromhex(held)) for name, held in headers)
