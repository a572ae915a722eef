"""One attempt at one event, as a worker's code sees it: all of it takes effect, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from streams.batch import Outgoing, State
from streams.intents import PAYLOAD_BYTES_MAX
from streams.working.events import headers_of_caused
from streams.working.inbox import Event
from streams.working.kept import KEPT_BYTES_MAX, Kept

FIRST_OF_OURS: Final = 0xFC
"""Store keys that begin with this byte, or a higher one, are the framework's and the runtime's."""

BYTES_MAX: Final = 512 << 10
"""Of a value and its key: with an envelope it still fits a record of a topic."""

TIMER_BYTES_MAX: Final = 200

_Read = TypeVar("_Read")


class Failed(Exception):
    """Raised by a worker's code: the attempt failed, and is to be made again later.

    Any other exception says the same. Operator action: none before the dead letter.
    """


class Hopeless(Failed):
    """Raised by a worker's code: a rule forbids it now and later, so it is a dead letter at once.

    The limits of dead letters do not count it.

    reason: the dead letter's cause. Operator action: what the cause asks for; then send it again.
    """

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Asked(NamedTuple):
    """The call that an attempt asks for."""

    destination: str
    payload: bytes


class Task:
    """One attempt.

    What it puts and emits is held back until the attempt has succeeded.

    event:   what is worked on; key, value: those of its record.
    attempt: 1 for the first. now_ms: the log's time, Unix ms.
    """

    def __init__(self, state: State, source: str, kept: Kept, role: str, now_ms: int) -> None:
        """Begin.

        source: place of the record without its offset, `topic:partition`.
        """
        self.event: Event = kept.event
        self.key = kept.key or b""
        self.value = kept.value or b""
        self.attempt = kept.failed + 1
        self.now_ms = now_ms
        self.puts: dict[bytes, bytes | None] = {}
        self.emitted: list[tuple[str, Outgoing]] = []
        self.asked: Asked | None = None
        # Due times by timer, Unix ms; None for one that is put out.
        self.timers: dict[str, int | None] = {}
        # What the store itself failed with, whatever became of the exception.
        self.trouble: Exception | None = None
        # The cause of its dead letter, where no later attempt could do it.
        self.hopeless = ""
        self._state = state
        self._source = source
        self._kept = kept
        self._role = role

    @property
    def partition(self) -> int:
        """Return the number of the partition that the event lies in."""
        return int(self._source.rpartition(":")[2])

    def get(self, key: bytes) -> bytes | None:
        """Return what the partition's store has under a key of the worker's own."""
        _check(key)
        if key in self.puts:
            return self.puts[key]
        return self._read(lambda: self._state.get(key))

    def read(self, key: bytes, decode: Callable[[bytes], _Read]) -> _Read | None:
        """Return what is stored under a key, decoded; None where nothing is.

        What cannot be decoded is the store's trouble: no event is to blame for it.
        """
        stored = self.get(key)
        return None if stored is None else self._read(lambda: decode(stored))

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value; a key begins with a byte below 0xFC."""
        _check(key)
        _check_size(key, value)
        self.puts[key] = value

    def delete(self, key: bytes) -> None:
        _check(key)
        self.puts[key] = None

    def emit(self, topic: str, key: bytes, value: bytes, event_type: str = "") -> None:
        """Publish an event that this one causes, to the same partition number.

        Its id is made of this record's place, so that no repetition gives it another; the
        correlation id and the trace go on.
        """
        _check_size(key, value)
        kept = self._kept
        place = f"{self._role}:{self._source}:{kept.offset}"
        event_id = f"{place}:{kept.turn}{len(self.emitted)}"
        headers = headers_of_caused(
            kept, self.event, event_id, event_type, self._role, self.now_ms
        )
        self.emitted.append((topic, Outgoing(key, value, headers)))

    def call(self, destination: str, payload: bytes) -> None:
        """Have a destination called; the event's key waits until what it said is taken in.

        Raises ValueError for a second call, since an event is worth one, and for a payload that
        no intent takes.
        """
        if self.asked is not None:
            raise ValueError(f"{self.event.id}: asks {self.asked.destination} already")
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"{self.event.id}: asks with {len(payload)} bytes")
        self.asked = Asked(destination, payload)

    def wake(self, timer: str, due_ms: int) -> None:
        """Have the worker woken with this event again at a time of the log, Unix ms.

        One time for each timer of a partition: a later call takes the place of an earlier one. It
        is a moment at most, and may come late, as everything that waits.
        """
        if not 1 <= len(timer.encode()) <= TIMER_BYTES_MAX:
            raise ValueError(f"a timer's name has 1 to {TIMER_BYTES_MAX} bytes, not {timer!r:.40}")
        if self._kept.size > KEPT_BYTES_MAX:
            # Before anything takes effect: what is done without its timer is never looked at.
            raise Failed(f"{self._kept.size} bytes cannot wait for a timer")
        self.timers[timer] = max(1, due_ms)

    def let_sleep(self, timer: str) -> None:
        """Put a timer out; does nothing where there is none."""
        self.timers[timer] = None

    def _read(self, read: Callable[[], _Read]) -> _Read:
        try:
            return read()
        except Exception as error:
            self.trouble = error
            raise


def run(work: Callable[..., Any], task: Task, *given: bytes) -> str:
    """Run a worker's code; return why the attempt failed, and nothing where it succeeded.

    Raises what the store failed with, and what no record is to blame for.
    """
    why = ""
    try:
        work(task, *given)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever it is, only this key waits)
        why = said(error)
        task.hopeless = error.reason if isinstance(error, Hopeless) else ""
    if task.trouble is not None:
        # Not even code that caught it may go on as if there were nothing in the store.
        raise task.trouble
    return why


def said(error: Exception) -> str:
    """Return what an error says, as text that can be encoded."""
    name = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
    return f"{name}{error}".encode(errors="replace").decode()


def _check(key: bytes) -> None:
    if not key or key[0] >= FIRST_OF_OURS:
        raise ValueError(f"{key!r:.40} is no key of a worker's own: 1 byte at least, below 0xFC")


def _check_size(key: bytes, value: bytes) -> None:
    if len(key) + len(value) > BYTES_MAX:
        raise ValueError(f"{len(key) + len(value)} bytes, the limit is {BYTES_MAX}")
