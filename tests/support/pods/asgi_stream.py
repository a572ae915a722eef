"""A client of a stream that the test holds in its hands: it reads when told, and may go away."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from support.pods.asgi_client import Answer, scope_of

from api.app import ASGIApp


@dataclass(frozen=True, slots=True)
class Told:
    """One server-sent event."""

    event: str
    id: str
    data: Any


def events_in(text: bytes) -> list[Told]:
    """Return the events of a stream's bytes; comments and `retry` are none."""
    told = []
    for block in text.decode().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if line and line[0] != ":"
        )
        if "event" in fields:
            data = orjson.loads(fields["data"])
            told.append(Told(fields["event"], fields.get("id", ""), data))
    return told


class Holder:
    """What a client holds that follows the events as they are told.

    sections: counts by section; None before the first snapshot.
    """

    def __init__(self) -> None:
        self.sections: dict[str, tuple[int, ...]] | None = None
        self.last_id = ""
        self.kinds: list[str] = []

    def follow(self, told: list[Told]) -> None:
        for one in told:
            self.kinds.append(one.event)
            self.last_id = one.id or self.last_id
            match one.event:
                case "reset":
                    self.sections = None
                case "snapshot":
                    self.sections = {s["section"]: counts_of(s) for s in one.data["sections"]}
                case "delta":
                    assert self.sections is not None, "a delta over nothing"
                    for section in one.data["sections"]:
                        self.sections[section["section"]] = counts_of(section)
                    for name in one.data["removed"]:
                        self.sections.pop(name, None)


def counts_of(section: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(section[name] for name in ("version", "free", "held", "largest_block"))


class Stream:
    """One open stream of an application.

    is_reading: False stops the connection from taking anything.
    """

    def __init__(self, app: ASGIApp, target: str, headers: Mapping[str, str]) -> None:
        self.answer = Answer()
        self.is_over = False
        self._may_take = asyncio.Event()
        self._may_take.set()
        self._gone = asyncio.Event()
        self._grown = asyncio.Event()
        self._seen = 0
        self.task = asyncio.ensure_future(
            app(scope_of("GET", target, headers), self._receive, self._send)
        )

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self._may_take.wait()
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = {n.decode(): v.decode() for n, v in message["headers"]}
        else:
            self.answer.body += message.get("body", b"")
            self.is_over = not message.get("more_body", False)
        self._grown.set()

    def stop_reading(self) -> None:
        self._may_take.clear()

    def go_on_reading(self) -> None:
        self._may_take.set()

    def new_events(self) -> list[Told]:
        """Return the events that came since the last call."""
        text = self.answer.body[self._seen :]
        self._seen = len(self.answer.body)
        return events_in(text)

    async def next_events(self, timeout_s: float = 60) -> list[Told]:
        """Wait until there is at least one new event and return all there are."""
        async with asyncio.timeout(timeout_s):
            while not (told := self.new_events()):
                self._grown.clear()
                await self._grown.wait()
        return told

    async def go_away(self) -> None:
        """Disconnect, and wait until the application has noticed."""
        self._gone.set()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(60):
                await self.task
