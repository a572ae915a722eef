"""One of a crowd waits as told, keeps the place through refusals, and buys once let in."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web

from scripts.crowd import crowd as module
from scripts.crowd.crowd import Crowd, Sale, Visitor, turn_of
from scripts.crowd.fairness import Story
from scripts.processes.keys import DevelopmentKeys

HELD = {"reservation_id": "r-1", "status": "HELD", "epoch": 1, "outcome_id": "o-1"}
SOLD = HELD | {"status": "SOLD", "outcome_id": "o-2"}


def token(turn: int) -> str:
    return jwt.encode({"turn": turn}, "no secret of any length that matters to us", "HS256")


def place(state: str, **told: Any) -> dict[str, Any]:
    return {"state": state, "sold_out": False, "poll_after_ms": 1, **told}


def waiting(position: int, **told: Any) -> dict[str, Any]:
    return place("WAITING", position=position, queue_token=token(7), **told)


ADMITTED = place("ADMITTED", entry_token=token(7), last_ms=99)
AWAY = (503, {"status": 503})


class Pod:
    """Answers looks at the room one after the other, the last again and again; sells all."""

    def __init__(self, *looks: tuple[int, dict[str, Any]]) -> None:
        self._looks = list(looks)
        self.asked: Counter[str] = Counter()
        self.entered_with: list[dict[str, Any]] = []
        self.entry: set[str | None] = set()

    async def handle(self, request: web.Request) -> web.Response:
        kind = request.path.rpartition("/")[2] if "/reservations/" not in request.path else "show"
        if request.path.endswith("/payments"):
            kind = "payments"
        self.asked[f"{request.method} {kind}"] += 1
        status, body = 200, SOLD if self.asked["POST payments"] else HELD
        if kind == "waiting-room" and request.method == "POST":
            self.entered_with.append(await request.json())
            status, body = 201, waiting(5)
        elif kind == "waiting-room" and request.method == "GET":
            status, body = self._looks[0] if len(self._looks) == 1 else self._looks.pop(0)
        elif kind == "reservations":
            self.entry.add(request.headers.get("Seatstream-Entry-Token"))
            status, body = 201, HELD
        return web.json_response(body, status=status)


def visited(pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Have one visit a pod; return the story."""
    monkeypatch.setattr(module, "ENTER_WITHIN_S", 0.0)
    monkeypatch.setattr(module, "RETRY_S", 0.0)

    async def go() -> Story:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", pod.handle)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        story, url = Story(), f"http://127.0.0.1:{runner.addresses[0][1]}"
        crowd = Crowd(Sale(7, "A", (url,)), [], DevelopmentKeys(tmp_path), seed=1)
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            draw = random.Random(1)
            await Visitor(session, Sale(7, "A", (url,)), "ann", "t", story, draw).visit(crowd)
        await runner.cleanup()
        return story

    return asyncio.run(go())


def test_who_is_let_in_buys_by_the_entry_token_and_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod((200, waiting(4)), AWAY, (200, waiting(1)), (200, ADMITTED))
    story = visited(pod, tmp_path, monkeypatch)
    assert (story.turn, story.let_in, story.sold) == (7, {(7, 99)}, True)
    assert (story.rises, story.lost, story.is_served) == (0, 0, True)
    assert pod.entry == {ADMITTED["entry_token"]}
    assert pod.asked["DELETE waiting-room"] == 1


def test_who_has_no_place_any_more_is_lost_and_shows_the_queue_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod((200, place("NONE")), (200, waiting(6)), (200, waiting(5, sold_out=True)))
    story = visited(pod, tmp_path, monkeypatch)
    assert pod.entered_with == [{}, {"queue_token": waiting(5)["queue_token"]}]
    assert (story.lost, story.rises, story.sold) == (1, 1, False)
    assert not pod.asked["POST reservations"]


def test_a_mistake_of_ours_in_the_crowd_is_kept_for_who_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Visitor, "visit", fail)
    crowd = Crowd(Sale(7, "A", ()), ["ann"], DevelopmentKeys(tmp_path), seed=1)
    crowd.start()
    crowd.close()
    assert not crowd.is_open
    assert isinstance(crowd.failure, ExceptionGroup)


def test_the_turn_is_that_of_the_token() -> None:
    assert turn_of(token(12)) == 12
