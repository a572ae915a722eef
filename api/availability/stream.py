"""Streams of an event's availability, as server-sent events.

    GET /v1/events/{event}/availability/stream[?sections=A,B]

Every change is encoded once for all clients of an event and handed to them as one and the same
bytes. Changes gather for a moment, the longer the more clients there are. A client that does not
read is dropped: it has its position and gets everything in one delta when it comes back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response

from api.availability.encoded import Encoded, LookUps, Piece
from api.availability.endpoints import SectionList, lookups_of
from api.availability.questions import PREFIX, Question, event_id_in, question_in
from api.availability.stream_frames import (
    RETRY,
    age_frame,
    comment_frame,
    delta_frame,
    differences,
    reset_frame,
    snapshot_frame,
    unlike,
)
from api.availability.stream_positions import TEXT_BYTES_MAX, Position
from api.guard import anyone, pod_of
from api.pod import Pod
from api.streaming.client import Client, Direct, every_tick, room_for_streams
from api.web.ids import EventIdInPath
from api.web.problems import Problem, bad
from api.web.requests import Receive, Scope, Send
from api.web.waits import Caller, while_here
from state.domain.reasons import ApiReason
from state.views.availability.contents import Change
from state.views.availability.statuses import SectionStatuses

SUFFIX: Final = "/availability/stream"

COMMENT_TICKS: Final = 15
"""Ticks between two comments; so many groups of clients get theirs one tick apart."""

GATHER_S: Final = 0.1
GATHER_S_PER_CLIENT: Final = 0.0001
"""Changes of an event gather for the first, or for the second times its clients if longer: handing
a frame to one client takes about a third of it, so that streams leave room for look-ups."""

CATCH_UP_S: Final = 2.0
"""How long a client waits for a pod that has not read as far as the client's former one."""

ChannelKey = tuple[int, tuple[str, ...]]


class Channel:
    """The clients of an event, or of the same sections of one, and what they were told last."""

    def __init__(self, key: ChannelKey) -> None:
        self.key = key
        self.clients: set[Client] = set()
        self.told: dict[str, Piece] = {}
        # Sections that a client was told of when it came, and otherwise than the others.
        self.unsure: set[str] = set()
        self.is_stale = False
        self.flushed_s = 0.0
        self.timer: asyncio.TimerHandle | None = None


class Streams:
    """All streams of one pod; lives in the event loop, hears of changes from the view's thread."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._view: SectionStatuses = pod.view
        self._lookups: LookUps = lookups_of(pod)
        self._metrics = pod.metrics
        self._channels: dict[ChannelKey, Channel] = {}
        self._channels_by_event: dict[int, list[Channel]] = {}
        self._dirty: deque[int] = deque()
        self._is_woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._end_listening: Callable[[], None] = _nothing
        self._opened = 0
        self._room = room_for_streams(pod.settings.streams_per_user)
        self.open = 0

    # --- one client ------------------------------------------------------------------------

    async def follow(
        self, key: ChannelKey, last_event_id: str | None, caller: Caller, send: Send
    ) -> None:
        """Stream until the client has gone, or until it is dropped; raises Problem before."""
        if self._pod.draining.is_set():
            raise Problem.of(ApiReason.NOT_READY, "This pod is ending; ask another.")
        # Before anything is waited for: who waits to go on has its place.
        with self._room.of(caller.user_id):
            await self._follow(key, last_event_id, caller, send)

    async def _follow(
        self, key: ChannelKey, last_event_id: str | None, caller: Caller, send: Send
    ) -> None:
        why, receive = "", caller.receive
        if last_event_id is not None:
            why = await while_here(receive, self._until_not_behind(last_event_id))
        # Refusals are those of a look-up.
        event_id, sections = key
        question = Question(sections, refuses=False)
        if (await self._lookups.answered(event_id, question, caller)).unsure:
            # A snapshot says once for all which sections there are not.
            raise Problem.of(
                ApiReason.NOT_READY,
                "The brokers do not tell yet whether all of them are there; ask again shortly.",
            )
        now_s = monotonic()
        self._opened += 1
        client = Client(self._opened % COMMENT_TICKS, now_s)
        channel = self._join(key, client)
        try:
            client.offer(self._first_frame(channel, last_event_id, why), now_s)
            await client.serve(receive, send)
        finally:
            self._leave(channel, client)

    async def _until_not_behind(self, last_event_id: str) -> str:
        """Wait for what the client knows already; return why it cannot go on, or nothing."""
        position = Position.read(last_event_id)
        if position is None:
            return "unreadable_id"

        view = self._view
        if not position.is_of_topic(view.topic_id()):
            return "another_topic"
        if not await view.wait_until_met(
            (), lambda: not position.is_ahead_of(view.positions()), CATCH_UP_S, by_age=True
        ):
            return "behind"
        return ""

    def _position_of(self, encoded: Encoded) -> Position:
        kept = encoded.part.derived
        position: Position | None = kept.get(Position)
        topic_id = self._view.topic_id()
        if position is None:
            position = kept[Position] = Position.of(encoded.part, topic_id)
        return position

    def _first_frame(self, channel: Channel, last_event_id: str | None, why: str) -> bytes:
        event_id, sections = channel.key
        found = self._lookups.now(event_id, sections)
        bound_ms = self._view.stale_after_ms
        if found is None:
            # Its last section went away this very moment.
            return RETRY + delta_frame(
                event_id, (), (), "", 0, self._view.staleness_ms(), bound_ms
            )
        encoded, age_ms = found
        # The others are told of the difference to what was told to them.
        channel.unsure |= unlike(channel.told, encoded.pieces)
        here = self._position_of(encoded)
        snapshot = snapshot_frame(encoded, str(here), age_ms, bound_ms)
        position = None if last_event_id is None else Position.read(last_event_id)
        if last_event_id is None:
            return RETRY + snapshot
        if position is not None and not why:
            if position.topic != here.topic:
                why = "another_topic"
            elif position.sections != here.sections:
                why = "other_sections"
            elif not position.is_proved(encoded.part.whole, self._view.told_at):
                why = "another_log"
        if position is None or why:
            return RETRY + reset_frame(why or "unreadable_id") + snapshot
        missed = [encoded.pieces[name] for name in position.missed(encoded.part)]
        return RETRY + delta_frame(
            event_id, missed, (), str(here), encoded.as_of_ms, age_ms, bound_ms
        )

    # --- all clients -----------------------------------------------------------------------

    def _join(self, key: ChannelKey, client: Client) -> Channel:
        if self._keeper is None:
            self._loop = asyncio.get_running_loop()
            # Before anything is read: what changes afterwards is told.
            self._end_listening = self._view.listen(self._changed)
            self._keeper = self._loop.create_task(self._keep())
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(key)
            found = self._lookups.now(*key)
            if found is not None:
                channel.told = found[0].pieces
                channel.is_stale = found[1] > self._view.stale_after_ms
            self._channels_by_event.setdefault(key[0], []).append(channel)
        channel.clients.add(client)
        self.open += 1
        self._metrics.streams_open.set(self.open)
        return channel

    def _leave(self, channel: Channel, client: Client) -> None:
        channel.clients.discard(client)
        self.open -= 1
        self._metrics.streams_open.set(self.open)
        if channel.clients or self._channels.get(channel.key) is not channel:
            return
        del self._channels[channel.key]
        of_event = self._channels_by_event[channel.key[0]]
        of_event.remove(channel)
        if not of_event:
            del self._channels_by_event[channel.key[0]]
        if channel.timer is not None:
            channel.timer.cancel()

    def _changed(self, changes: Sequence[Change]) -> None:
        """Hear of changes, in the view's thread."""
        watched = self._channels_by_event
        for change in changes:
            if change.event_id in watched:
                self._dirty.append(change.event_id)
        if self._dirty and not self._is_woken and self._loop is not None:
            self._is_woken = True
            # A loop that was closed meanwhile has no streams left.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._gather)

    def _gather(self) -> None:
        """Have every event that changed told to its clients, now or when it is its turn."""
        # Before the queue is emptied: what is added afterwards wakes us again.
        self._is_woken = False
        events = set()
        with suppress(IndexError):
            while True:
                events.add(self._dirty.popleft())
        now_s = monotonic()
        for event_id in events:
            for channel in self._channels_by_event.get(event_id, ()):
                if channel.timer is not None or self._loop is None:
                    continue
                pause_s = max(GATHER_S, GATHER_S_PER_CLIENT * len(channel.clients))
                left_s = channel.flushed_s + pause_s - now_s
                if left_s <= 0:
                    self._flush(channel)
                else:
                    channel.timer = self._loop.call_later(left_s, self._flush, channel)

    def _flush(self, channel: Channel) -> None:
        """Tell the clients of a channel what has changed since they were told last."""
        channel.timer = None
        channel.flushed_s = monotonic()
        event_id, sections = channel.key
        found = self._lookups.now(event_id, sections)
        pieces = {} if found is None else found[0].pieces
        changed, removed = differences(channel.told, pieces, channel.unsure)
        channel.told = pieces
        channel.unsure.clear()
        if not changed and not removed:
            return
        position, as_of_ms, age_ms = "", 0, self._view.staleness_ms()
        if found is not None:
            encoded, age_ms = found
            position = str(self._position_of(encoded)) if pieces else ""
            as_of_ms = encoded.as_of_ms
        bound_ms = self._view.stale_after_ms
        channel.is_stale = age_ms > bound_ms
        self._tell(
            channel,
            channel.clients,
            delta_frame(event_id, changed, removed, position, as_of_ms, age_ms, bound_ms),
        )

    def _tell(self, channel: Channel, clients: Any, frame: bytes) -> None:
        now_s = monotonic()
        slow = [client for client in clients if not client.offer(frame, now_s)]
        for client in slow:
            self._drop(channel, client)

    def _drop(self, channel: Channel, client: Client) -> None:
        channel.clients.discard(client)
        self._metrics.streams_dropped.inc()
        client.drop()

    async def _keep(self) -> None:
        try:
            await every_tick(self._channels, self._pod.draining, self._at_tick)
        finally:
            self._end_listening()
            self._keeper = None
            for channel in list(self._channels.values()):
                for client in list(channel.clients):
                    client.end()

    async def _at_tick(self, tick: int) -> None:
        for channel in list(self._channels.values()):
            self._look_after(channel, tick % COMMENT_TICKS)

    def _look_after(self, channel: Channel, group: int) -> None:
        now_s = monotonic()
        for client in list(channel.clients):
            if client.is_stuck(now_s):
                self._drop(channel, client)
            elif now_s > client.ends_s:
                client.end()
        found = self._lookups.now(*channel.key)
        age_ms = self._view.staleness_ms() if found is None else found[1]
        bound_ms = self._view.stale_after_ms
        if (age_ms > bound_ms) is not channel.is_stale:
            channel.is_stale = age_ms > bound_ms
            self._tell(channel, channel.clients, age_frame(age_ms, bound_ms))
        due = [client for client in channel.clients if client.group == group]
        if due:
            self._tell(channel, due, comment_frame(age_ms))


def _nothing() -> None:
    pass


def streams_of(pod: Pod) -> Streams:
    """Return the streams of a pod, made when first asked for."""
    return pod.made(Streams)


async def answer(pod: Pod, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a stream; raises Problem."""
    headers = dict(scope["headers"])
    who = scope["state"]["identity"] = pod.verifier.identify(headers.get(b"authorization"))
    path: str = scope["path"]
    event_id = event_id_in(path[len(PREFIX) : -len(SUFFIX)])
    question = question_in(scope["query_string"])
    if not question.is_plain or question.wait_ms is not None or question.refuses is not None:
        bad("query", "sections only")
    last_event_id = headers.get(b"last-event-id", b"").decode("latin-1").strip() or None
    caller = Caller(who.user_id, receive)
    await streams_of(pod).follow((event_id, question.sections), last_event_id, caller, send)


router: Final = APIRouter(tags=["availability"], dependencies=[Depends(anyone)])


@router.get(
    "/v1/events/{event_id}/availability/stream",
    response_class=Direct,
    status_code=200,
    responses={
        200: {
            "description": "Server-sent events: snapshot, delta, reset, age; see the manual.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def event_stream(
    request: Request,
    event_id: EventIdInPath,  # noqa: ARG001
    sections: SectionList = None,  # noqa: ARG001
    last_event_id: Annotated[  # noqa: ARG001
        str | None,
        Header(max_length=TEXT_BYTES_MAX, description="`id` of the last event that was received."),
    ] = None,
) -> Response:
    """Follow the free seats of an event as they change."""
    return Direct(partial(answer, pod_of(request)))
