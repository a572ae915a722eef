"""Sends drawn commands at a pace, and times them until their outcomes."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, perf_counter, sleep
from typing import Any, NamedTuple

from scripts.traffic.sending import CommandSender, NoBroker, OutcomeReader
from scripts.traffic.workload import Command, percentile
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause
from state.records.outcomes import CAUSE, OUTCOME_ID, REASON

PACE_S = 0.002
LAPSED = int(ReleaseCause.LAPSED)


@dataclass(slots=True)
class Measured:
    """What a reader has seen.

    outcomes:     of commands, lapses apart.
    latencies_ms: of each reservation's first outcome.
    by_reason:    outcomes by record name, or by reason where it is a refusal.
    """

    outcomes: int = 0
    lapses: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    by_reason: Counter[str] = field(default_factory=Counter)


class Driven(NamedTuple):
    """How long a load took, in seconds: to send, and until its last outcome or Ctrl-C."""

    sent_s: float
    wall_s: float
    is_interrupted: bool


class OutcomeMeter:
    """Reads outcomes in a thread of its own and times them.

    sent_at: reservation id -> perf_counter of its first command; taken out when it is answered.
    """

    def __init__(self, reader: OutcomeReader) -> None:
        self.measured = Measured()
        self.sent_at: dict[bytes, float] = {}
        self.error: str | None = None
        self._reader = reader
        self._lapsed: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the reader."""
        self._stop.set()
        self._thread.join(10)
        self._reader.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._read()
        except NoBroker as error:
            self.error = str(error)

    def _read(self) -> None:
        measured, reader, sent_at = self.measured, self._reader, self.sent_at
        for message in reader.read(0.02):
            now = perf_counter()
            value = message.value() or b""
            name = reader.name_of(value)
            if name in {"ReservationRejected", "CommandRefused"}:
                name = Reason(reader.fields_of(value)[REASON]).name
            elif name == "ReservationReleased":
                fields = reader.fields_of(value)
                # A release after the lapse is answered with the lapse once more.
                if fields[CAUSE] == LAPSED and fields[OUTCOME_ID] not in self._lapsed:
                    self._lapsed.add(fields[OUTCOME_ID])
                    measured.lapses += 1
                    measured.by_reason["LAPSED"] += 1
                    continue
            sent = sent_at.pop(message.key() or b"", None)
            if sent is not None:
                measured.latencies_ms.append((now - sent) * 1000)
            measured.outcomes += 1
            measured.by_reason[name] += 1


def send_all(
    commands: Sequence[Command],
    sender: CommandSender,
    meter: OutcomeMeter,
    rate: float | None,
    *,
    until: Callable[[], bool] = lambda: False,
) -> float:
    """Send at `rate` a second (None: as fast as it goes); return the seconds it took."""
    sent_at = meter.sent_at
    start = perf_counter()
    at = 0
    while at < len(commands) and not until():
        if rate is None:
            due = min(len(commands), at + 500)
        else:
            due = min(len(commands), int((perf_counter() - start) * rate) + 1)
        while at < due:
            key, value, reservation_id = commands[at]
            if reservation_id is not None:
                sent_at[reservation_id] = perf_counter()
            sender.send(key, value)
            at += 1
        sender.poll()
        if rate is not None:
            ahead_s = start + at / rate - perf_counter()
            if ahead_s > 0:
                sleep(min(ahead_s, PACE_S))
    return perf_counter() - start


def drive(
    commands: Sequence[Command],
    sender: CommandSender,
    meter: OutcomeMeter,
    rate: float | None,
    wait_s: float,
) -> Driven:
    """Send all and wait for the outcomes, or until Ctrl-C; end the meter."""
    meter.start()
    is_interrupted = False
    start = perf_counter()
    sent_s = 0.0
    try:
        sent_s = send_all(commands, sender, meter, rate)
        sender.flush()
        wait_for_outcomes(meter, sender, wait_s)
    except KeyboardInterrupt:
        is_interrupted = True
        sent_s = sent_s or perf_counter() - start
        sender.drop()
    wall_s = perf_counter() - start
    meter.stop()
    return Driven(sent_s, wall_s, is_interrupted)


def wait_for_outcomes(meter: OutcomeMeter, sender: CommandSender, wait_s: float) -> None:
    """Return when every command has an outcome, or none came for `wait_s`."""
    seen, since = -1, monotonic()
    while meter.measured.outcomes < sender.sent - len(sender.failed) and meter.error is None:
        if meter.measured.outcomes != seen:
            seen, since = meter.measured.outcomes, monotonic()
        if monotonic() - since > wait_s:
            return
        sleep(0.01)


def summary(
    measured: Measured,
    sender: CommandSender,
    driven: Driven,
    rate: float | None,
    seed: int,
) -> dict[str, Any]:
    """Return the result as it is printed."""
    latencies = sorted(measured.latencies_ms)
    return {
        "seed": seed,
        "offered_per_s": rate,
        "commands": sender.sent,
        "sent_per_s": round(sender.sent / driven.sent_s, 1) if driven.sent_s else 0.0,
        "outcomes": measured.outcomes,
        "missing": max(0, sender.sent - measured.outcomes),
        "not_acknowledged": len(sender.failed),
        "lapses": measured.lapses,
        "decisions_per_s": round(measured.outcomes / driven.wall_s, 1) if driven.wall_s else 0.0,
        "wall_s": round(driven.wall_s, 3),
        "latency_ms": {
            name: round(percentile(latencies, share), 2)
            for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999))
        }
        | {"max": round(latencies[-1], 2) if latencies else 0.0},
        "by_reason": dict(measured.by_reason.most_common()),
    }
