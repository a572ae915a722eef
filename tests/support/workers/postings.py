"""A piece of work over `streams.working` that tests fail at will, and its topology in memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from streams.driver import TopologyDriver
from streams.intents import Answer, Intent, Result
from streams.patience import Patience
from streams.route import Route
from streams.working.route import work_route
from streams.working.task import Failed, Hopeless, Task
from streams.working.work import Work

SOURCE, DONE = "orders", "posted"
PATIENCE = Patience(3, 1_000, 30_000)


def headers(event_id: str, correlation: str = "", kind: str = "") -> list[tuple[str, bytes]]:
    """Return an event's headers."""
    given = {"event-id": event_id, "correlation-id": correlation, "event-type": kind}
    return [(name, text.encode()) for name, text in given.items() if text]


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


class Office:
    """Posts each order's value under its key.

    fails: how often attempts at an event id fail, before one succeeds.
    kills: event ids whose attempts kill the worker, once they fail no more.
    hopeless: event ids that no attempt could do.
    begun: event ids in the order of their attempts; posted: values of a key, in their order.
    """

    def __init__(self, *, calls: bool = False, role: str = "post", **fields: Any) -> None:
        self.calls = calls
        self.fails: Counter[str] = Counter()
        self.kills: set[str] = set()
        self.hopeless: set[str] = set()
        self.begun: list[str] = []
        work = Work(role, SOURCE, self._begin, self._answered, PATIENCE, **fields)
        self.route: Route = work_route(
            work,
            to=(DONE,),
            changelog="posting-changelog",
            dead_letters="dead",
            performers={"office": nobody},
        )
        self.driver = TopologyDriver([self.route])

    def _begin(self, task: Task) -> None:
        self.begun.append(task.event.id)
        if not self.calls:
            self._post(task)
        else:
            task.call("office", task.value)

    def _answered(self, task: Task, payload: bytes) -> None:
        assert payload == b"said"
        self._post(task)

    def _post(self, task: Task) -> None:
        posted = task.get(b"k" + task.key) or b""
        task.put(b"k" + task.key, posted + task.value + b",")
        task.emit(DONE, task.key, task.value, "POSTED")
        if self.fails[task.event.id]:
            self.fails[task.event.id] -= 1
            raise Failed(f"{task.event.id} again")
        if task.event.id in self.hopeless:
            raise Hopeless("NO_ROOM", f"for {task.event.id}")
        if task.event.id in self.kills:
            raise MemoryError

    def order(self, key: str, event_id: str, value: str = "", **ids: str) -> None:
        self.driver.pipe(
            SOURCE,
            key.encode(),
            (value or event_id).encode(),
            partition=0,
            headers=headers(event_id, **ids),
        )

    def answer_all(self, answer: Answer | Callable[[Intent], Answer] | None = None) -> int:
        """Answer every call that is due; return how many."""
        answer = answer or Answer(result=Result.ANSWERED, payload=b"said")
        due = self.driver.intents(SOURCE, due=True)
        for pending in due:
            said = answer if isinstance(answer, Answer) else answer(pending.intent)
            self.driver.answer(pending, said)
        return len(due)

    def posted(self, key: str) -> list[str]:
        stored = self.driver.get(SOURCE, b"", b"k" + key.encode()) or b""
        return stored.decode().split(",")[:-1]

    def letters(self) -> list[tuple[str, str, int]]:
        """Return (value, reason, attempts) of the dead letters."""
        return [
            ((one.record.value or b"").decode(), one.reason, one.attempts)
            for one in self.driver.dead_letters
        ]

    def replay(self) -> None:
        """Give everything once more, as after a rewind."""
        if log := self.driver.log(SOURCE, 0):
            self.driver.replay(SOURCE, 0, log)

    def waiting(self) -> Sequence[bytes]:
        """Return the keys of all that waits."""
        return [
            key
            for key in self.driver.stored(SOURCE, 0)
            if key[:1] == b"\xfc" and key[1:2] in b"kw"
        ]
