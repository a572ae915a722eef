"""What a worker reports about itself: metrics, health, and a log line for each rare event.

Nothing is counted or logged record by record.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from infra.process.log_lines import Correlation
from infra.process.record_ids import correlation_in
from state.kafka.open_transactions import Open, Place
from streams.batch import DeadLetter, Record
from streams.folding.log_time import JUMP_MS
from streams.runtime.process.fatal import REASONS, PartitionTrouble, Reason
from streams.runtime.process.metrics import WorkerMetrics

Kept = Mapping[tuple[str, str], int]
"""How many things of a kind a partition's state has, by role and kind."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Why a partition is set aside. Times are Unix seconds.

    why:        the reason in words, for an operator.
    next_try_s: when it is tried again; 0 where it goes on as soon as its cause is gone.
    tries:      how often in a row it was set aside.
    """

    reason: Reason
    why: str
    since_s: float
    next_try_s: float
    tries: int


def about(record: Record) -> dict[str, Correlation]:
    """Return what makes a log line carry the ids of a record."""
    return {"correlation": correlation_in(record.headers or ())}


class Observer:
    """Takes the runtime's reports, and answers the health pages from them."""

    def __init__(self, stall_s: float, open_s_max: float = 30.0, revision: str = "") -> None:
        """Begin to observe.

        stall_s:    lag without progress that makes `/live` fail.
        open_s_max: a transaction that is open for longer makes `/ready` fail.
        revision:   of the source, where it is known.
        """
        self.log = logging.getLogger("seatstream.runtime")
        self.metrics = WorkerMetrics(revision)
        for reason in REASONS:
            self.metrics.parked.labels(reason)
        self._stall_s = stall_s
        self._running = False
        self._restoring = 0
        self._aside: dict[str, Aside] = {}
        # Set aside because their input could not be read, and taken in again; none of their
        # fetches has been answered yet.
        self._unproven: set[str] = set()
        self._open_s_max = open_s_max
        self._hanging: dict[Place, str] = {}
        self._positions: dict[str, tuple[int, float]] = {}
        self._stalled: dict[str, float] = {}
        self._clocks_off: dict[str, float] = {}
        self._time_paused: dict[str, float] = {}
        self._time_told: set[str] = set()
        self._kept: dict[str, Kept] = {}
        self._kinds: set[tuple[str, str]] = set()
        self._watched: set[str] = set()
        # Of each of our partitions as told last: records behind, and log time in Unix ms.
        self._lags: dict[str, tuple[int, int]] = {}
        # None before the first assignment.
        self._ours: set[str] | None = None
        self._missing: frozenset[str] = frozenset()
        self._is_silent = False
        self._restore_logged_at = 0.0

    # --- reported by the runtime -----------------------------------------------------------

    def opened(
        self,
        generation: int,
        fenced: Sequence[str],
        partitions: int,
        restored: int,
        fence_s: float,
        restore_s: float,
    ) -> None:
        """Say that a generation runs with the partitions that the group gave it.

        fenced:   transactional ids of former owners, who can commit nothing any more.
        restored: changelog records that were read, in `restore_s`; fencing took `fence_s` before.
        """
        self._running = True
        self.metrics.generations.inc()
        self.metrics.partitions.set(partitions)
        self.metrics.takeover_seconds.set(fence_s + restore_s)
        self.log.info(
            "generation %d runs: %d partitions, fenced %s, fence and claim %.3f s, "
            "restored %d records in %.3f s",
            generation,
            partitions,
            ", ".join(fenced) or "nobody",
            fence_s,
            restored,
            restore_s,
        )

    def assigned(self, places: Iterable[Place]) -> None:
        """Take in which partitions are ours from now on: of others their new owners tell.

        Until then what was last said of them stands, for nobody else tells it meanwhile.
        """
        self._ours = {f"{topic}-{partition}" for topic, partition in places}
        for place in self._lags.keys() - self._ours:
            self.metrics.lag_records.remove(place)
            del self._lags[place]
        if not self._ours:
            self.kept({})
            self.open_transactions((), {})

    def idle(self, generation: int) -> None:
        """The group gave this worker no partition."""
        self._running = True
        self.log.info("generation %d: no partitions assigned, standing by", generation)

    def closed(self, generation: int) -> None:
        """Say that a generation has ended: nothing that was said of its partitions stands."""
        self._running = False
        self._aside.clear()
        self._unproven.clear()
        self._hanging.clear()
        self.brokers_silent(False)
        self._count_aside()
        self._positions.clear()
        self._stalled.clear()
        self.metrics.partitions.set(0)
        self.log.info("generation %d closed", generation)

    def restoring(self, is_restoring: bool) -> None:
        """Count one restore that begins, or one that ends; several may go on at a time."""
        self._restoring += 1 if is_restoring else -1
        if not self._restoring:
            self.metrics.restore_remaining.set(0)

    def restored(self, records: int, remaining: int) -> None:
        """Count changelog records since the last call; remaining: most that are left to read."""
        self.metrics.restored_records.inc(records)
        self.metrics.restore_remaining.set(remaining)
        now = time.monotonic()
        if now - self._restore_logged_at > 2.0:
            self._restore_logged_at = now
            self.log.info("restoring: at most %d changelog records left", remaining)

    def refused(self, causes: Mapping[Any, int], line: str) -> None:
        """Count the changelog records that a restore left out, by cause; `line` names them."""
        for cause, count in causes.items():
            self.metrics.refused_records.labels(cause).inc(count)
        self.log.error("%s", line)

    def committed(
        self, records: int, decisions: Mapping[str, int], commit_s: float, store_s: float
    ) -> None:
        """Take in a committed transaction: how many input records, and decisions by reason."""
        self.metrics.batch_records.observe(records)
        self.metrics.commit_seconds.observe(commit_s)
        self.metrics.store_seconds.observe(store_s)
        for reason, count in decisions.items():
            self.metrics.decisions.labels(reason).inc(count)

    def dead_letter(self, place: str, letter: DeadLetter) -> None:
        """Take in a dead letter that was committed."""
        self.metrics.dead_letters.labels(letter.reason).inc()
        self._tell_letter(f"dead letter: {letter.reason}", place, letter)

    def given_up(self, place: str, letter: DeadLetter) -> None:
        """Take in what was given up for good, and is no dead letter."""
        self._tell_letter(f"given up after {letter.attempts} attempts", place, letter)

    def _tell_letter(self, what: str, place: str, letter: DeadLetter) -> None:
        record = letter.record
        message = "%s: %s offset %d: %s"
        self.log.warning(message, what, place, record.offset, letter.detail, extra=about(record))

    def waits(self, place: str, why: str) -> None:
        """A running partition waits for a schema, or for newer code."""
        self._set_aside(place, "schema", why, 0.0)
        self.log.error("%s is set aside: %s", place, why)

    def runs_again(self, place: str) -> None:
        self._aside.pop(place, None)
        self._count_aside()
        self.log.warning("%s runs again", place)

    def left(self, place: str) -> None:
        """A partition has stopped running."""
        self.metrics.partitions.dec()
        self._unproven.discard(place)
        self._positions.pop(place, None)
        self._stalled.pop(place, None)

    def set_aside(self, place: str, trouble: PartitionTrouble, pause_s: float) -> None:
        """A partition could not be taken over, or stopped; it is tried again after a pause (s)."""
        aside = self._set_aside(place, trouble.reason, str(trouble), time.time() + pause_s)
        self.log.error(
            "%s is set aside, try %d in %.0f s: %s", place, aside.tries + 1, pause_s, trouble
        )

    def taken_in(self, place: str) -> None:
        """A partition that was set aside runs again.

        Where its input could not be read, it stays set aside until `reads` tells of a fetch.
        """
        self.metrics.partitions.inc()
        aside = self._aside.get(place)
        if aside is not None and aside.reason == "input":
            self._aside[place] = replace(aside, next_try_s=0.0)
            self._unproven.add(place)
        else:
            self.runs_again(place)

    def reads(self, places: Iterable[Place]) -> None:
        """The fetches of these running partitions were answered without an error."""
        if not self._unproven:
            return
        for place in self._unproven & {f"{topic}-{partition}" for topic, partition in places}:
            self._unproven.discard(place)
            self.runs_again(place)

    def _set_aside(self, place: str, reason: Reason, why: str, next_try_s: float) -> Aside:
        known = self._aside.get(place)
        since_s, tries = (known.since_s, known.tries) if known is not None else (time.time(), 0)
        aside = self._aside[place] = Aside(reason, why, since_s, next_try_s, tries + 1)
        self._count_aside()
        return aside

    def _count_aside(self) -> None:
        for reason in REASONS:
            count = sum(aside.reason == reason for aside in self._aside.values())
            self.metrics.parked.labels(reason).set(count)

    def turn(self, role: str, turn: bool | None) -> None:
        """Count whether this worker had the lease of a look; None where nobody told."""
        answer = "unknown" if turn is None else "held" if turn else "busy"
        self.metrics.turns.labels(role, answer).inc()

    def clocks(self, offsets_s: Mapping[str, float], off: Mapping[str, float]) -> None:
        """Take in the brokers' clocks minus ours, and those of them that are wrong."""
        for broker, offset_s in offsets_s.items():
            self.metrics.broker_clock.labels(broker).set(offset_s)
        for broker in off.keys() - self._clocks_off.keys():
            self.log.error(
                "the clock of broker %s is wrong by %+.1f s: on partitions that it leads, holds "
                "may lapse late and sale windows open or close late. Set that machine's clock",
                broker,
                off[broker],
            )
        for broker in self._clocks_off.keys() - off.keys():
            self.log.warning("the clock of broker %s is right again", broker)
        self._clocks_off = dict(off)

    def topics(self, missing: frozenset[str]) -> None:
        """Take in which topics of the routes the brokers do not have."""
        for name in missing - self._missing:
            self.log.error(
                "topic %s is missing: nothing is decided until it is there again. Before you "
                'create it, read "A topic is lost" in docs/operations.md',
                name,
            )
        for name in self._missing - missing:
            self.log.warning("topic %s is there again", name)
        self._missing = missing
        self.metrics.topics_missing.set(len(missing))

    def brokers_silent(self, is_silent: bool) -> None:
        """Take in whether no broker answers fetches."""
        if is_silent and not self._is_silent:
            self.log.error("no broker answers: no partition is read. Look at the brokers")
        elif self._is_silent and not is_silent:
            self.log.warning("brokers answer again")
        self._is_silent = is_silent
        self.metrics.brokers_silent.set(is_silent)

    def time(self, behind_ms: Mapping[str, int]) -> None:
        """Take in how many ms each partition's log time is behind its records' append times."""
        paused = {p: ms / 1000 for p, ms in behind_ms.items() if ms > JUMP_MS}
        # Told when seen twice in a row: the first record after an outage makes time leap as well,
        # but the tick that confirms it follows at once.
        for place in self._time_paused.keys() & paused.keys() - self._time_told:
            self.log.error(
                "%s: append times jumped by %.0f s, and no tick confirms the new time. Until one "
                "does, holds do not lapse and sale windows neither open nor close. Compare the "
                "clocks of this machine and of the partition's leader",
                place,
                paused[place],
            )
            self._time_told.add(place)
        for place in self._time_told - paused.keys():
            self.log.warning("%s: ticks confirm the time again", place)
            self._time_told.discard(place)
        self._time_paused = paused
        self.metrics.time_paused.set(len(paused))

    def open_transactions(self, topics: Iterable[str], found: Mapping[Place, Open]) -> None:
        """Take in which open transactions keep readers of these topics from going on."""
        if self._ours is not None and not self._ours:
            # Given up while brokers were asked about them.
            topics, found = (), {}
        watched = set(topics)
        for topic in self._watched - watched:
            self.metrics.open_transaction_seconds.remove(topic)
            self.metrics.hidden_records.remove(topic)
        self._watched = watched
        for topic in watched:
            of_topic = [one for (named, _), one in found.items() if named == topic]
            longest_s = max([one.for_s for one in of_topic], default=0.0)
            hidden = sum(one.hidden for one in of_topic if one.for_s > self._open_s_max)
            self.metrics.open_transaction_seconds.labels(topic).set(longest_s)
            self.metrics.hidden_records.labels(topic).set(hidden)
        hanging = {
            place: one.told(place) for place, one in found.items() if one.for_s > self._open_s_max
        }
        for place in hanging.keys() - self._hanging.keys():
            self.log.error("%s", hanging[place])
        for topic, partition in self._hanging.keys() - hanging.keys():
            self.log.warning("%s-%d: the open transaction has ended", topic, partition)
        self._hanging = hanging

    def kept(self, found: Mapping[str, Kept | None]) -> None:
        """Take stock of what the states of our partitions have.

        found: of each partition that is counted; None where it cannot be now. Then what was
               counted last stands: whoever waits there for a person goes on waiting.
        """
        self._kept = {
            place: kept if kept is not None else self._kept.get(place, {})
            for place, kept in found.items()
        }
        self._kinds.update(*self._kept.values())
        for role, kind in self._kinds:
            number = sum(kept.get((role, kind), 0) for kept in self._kept.values())
            self.metrics.kept.labels(role, kind).set(number)
        self.metrics.uncounted.set(sum(kept is None for kept in found.values()))

    def called(self, destination: str, result: str, seconds: float | None) -> None:
        """Take in the result of one intent; seconds: of its call, None where none was made."""
        self.metrics.calls.labels(destination, result).inc()
        if seconds is not None:
            self.metrics.call_seconds.labels(destination).observe(seconds)

    def open_intents(self, count: Mapping[str, int], oldest_s: float) -> None:
        """Take in the number of open intents by destination, and the age of the oldest intent."""
        for destination, number in count.items():
            self.metrics.open_intents.labels(destination).set(number)
        self.metrics.oldest_intent_seconds.set(oldest_s)

    def stranded_intents(self, count: Mapping[str, int]) -> None:
        """Take in the number of open intents by destination that no route performs any more."""
        for destination, number in count.items():
            self.metrics.stranded_intents.labels(destination).set(number)

    def circuit(self, destination: str, phase: str, value: int, why: str) -> None:
        """Take in that a destination's circuit entered a phase.

        value: the phase in metrics. why: how the last call failed.
        """
        self.metrics.circuit.labels(destination).set(value)
        if value:
            self.log.warning(
                "the circuit of %s is %s now; the last call that failed: %s",
                destination,
                phase,
                why,
            )
        else:
            self.log.info("the circuit of %s is %s", destination, phase)

    def looked_up(self, answer: str) -> None:
        self.metrics.lookups.labels(answer).inc()

    def memory(
        self,
        *,
        buffered_bytes: int,
        resident_bytes: int,
        stores: Sequence[Mapping[str, int]],
    ) -> None:
        """Take in the memory used by buffers, the process, and each store by kind, in bytes."""
        self.metrics.buffered_bytes.set(buffered_bytes)
        self.metrics.resident_bytes.set(resident_bytes)
        for kind in stores[0] if stores else ():
            self.metrics.store_bytes.labels(kind).set(sum(store[kind] for store in stores))

    def lag(self, places: Mapping[str, tuple[int, int, int]], now_ms: int) -> None:
        """Take in each partition's position, end offset, and log time there, in Unix ms.

        One that is left out, because it does not run or its end is not to be had, has at least the
        lag that it had, and that grows old.
        """
        now = time.monotonic()
        for place, (position, end, log_time_ms) in places.items():
            if self._ours is not None and place not in self._ours:
                # Given up while its end was asked for.
                continue
            behind = max(0, end - position)
            self._lags[place] = behind, log_time_ms
            self.metrics.lag_records.labels(place).set(behind)
            known, since = self._positions.get(place, (-1, now))
            if known != position or not behind:
                self._positions[place] = (position, now)
                self._stalled.pop(place, None)
            elif place not in self._aside and now - since > self._stall_s:
                if place not in self._stalled:
                    self.log.error(
                        "%s stands still: its position is %d and its end %d. Look for lines about "
                        "it above, and at the brokers",
                        place,
                        position,
                        end,
                    )
                self._stalled[place] = now - since
        known_ms = [log_ms for behind, log_ms in self._lags.values() if behind and log_ms]
        self.metrics.lag_seconds.set(max(0, now_ms - min(known_ms, default=now_ms)) / 1000)

    # --- asked by the health pages ---------------------------------------------------------

    def ready(self) -> tuple[bool, str]:
        """Return whether this worker runs without any known trouble, and its state as JSON."""
        state = {
            "running": self._running,
            "restoring": self._restoring > 0,
            "set_aside": {place: asdict(aside) for place, aside in self._aside.items()},
            "hanging_transactions": sorted(self._hanging.values()),
            "lag_records": sum(behind for behind, _ in self._lags.values()),
            "broker_clocks_off_s": self._clocks_off,
            "time_paused_s": self._time_paused,
            "topics_missing": sorted(self._missing),
            "brokers_silent": self._is_silent,
        }
        troubles = self._aside or self._missing or self._hanging or self._is_silent
        is_well = self._running and not troubles
        return is_well, json.dumps(state)

    def live(self) -> tuple[bool, str]:
        """Return whether every partition with lag moves; JSON: for how long any has not, in s."""
        return not self._stalled, json.dumps({"stalled_s": self._stalled})

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return self.metrics.exposition()
