"""The methods of BookingWorkerService.

A caller sees its own items only; another user's is not found. Whatever becomes of a call, the same
key leads to the same item.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message

from api.booking import callers
from api.booking.callers import Context
from api.booking.looking import looks_of
from api.booking.messages import (
    cancelled_body,
    enqueued_body,
    position_body,
    status_body,
    wish_in,
)
from api.pod import Pod
from api.standing import check_admission
from api.web.problems import Problem
from api.web.room import Room
from api.web.waits import CERTAIN_S, USER_WAITS_MAX
from infra.process.log_lines import current
from schemas.proto import booking_worker_pb2 as messages
from state.domain.booking_queue.items import Item, item_id
from state.domain.booking_queue.queue import NotTaken
from state.domain.booking_queue.statuses import OVER, ItemStatus
from state.domain.reasons import ApiReason, Reason
from state.records.booking_queue.ids import encoded_ids

SERVICE: Final = "seatstream.booking.v1.BookingWorkerService"

CALL_S: Final = 30.0
"""Longest that a call lasts, whatever its client's deadline is; a stream has none."""

LOOK_EVERY_S: Final = 1.0
"""How often the place of who watches is looked at."""

STREAMS_MAX: Final = 2_000

_ItemIdIn = (
    messages.GetQueuePositionRequest
    | messages.GetQueueStatusRequest
    | messages.CancelQueueItemRequest
    | messages.WatchPositionRequest
)

AnyMessage = TypeVar("AnyMessage", bound=Message)
Unary = Callable[[Any, Context], Awaitable[Any]]


class _Reads(Protocol):
    """A class of messages."""

    def FromString(self, text: bytes) -> Any: ...  # noqa: N802  (protobuf's name)


class Unreadable:
    """Bytes that are no message of the kind that the method takes."""


def reader_of(kind: _Reads) -> Callable[[bytes], Any]:
    """Return what reads a message, and makes bytes that are none a value."""

    def read(text: bytes) -> Any:
        try:
            return kind.FromString(text)
        except DecodeError:
            return Unreadable()

    return read


def _written(message: Message) -> bytes:
    return message.SerializeToString()


class BookingService:
    """Answers calls, by the parts of a pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._streams: Room[str] = Room(
            STREAMS_MAX,
            "This pod has streams enough; ask another, or for the position.",
            pod.settings.streams_per_user,
            "The user has streams enough open.",
        )
        self._unsure: Room[str] = Room(
            pod.settings.in_flight_max,
            "Too many ask for sections that nobody knows; ask again shortly.",
            USER_WAITS_MAX,
            "The user asks for sections enough that nobody knows.",
        )

    def handlers(self) -> dict[str, Any]:
        """Return a handler for each method by its name."""
        unary: dict[str, tuple[_Reads, Unary]] = {
            "EnqueueBooking": (messages.EnqueueBookingRequest, self.enqueue),
            "GetQueuePosition": (messages.GetQueuePositionRequest, self.position),
            "GetQueueStatus": (messages.GetQueueStatusRequest, self.status),
            "CancelQueueItem": (messages.CancelQueueItemRequest, self.cancel),
        }
        # Its types are those of a server with threads.
        made: Any = grpc.unary_unary_rpc_method_handler
        found = {
            name: made(_answering(method), reader_of(kind), _written)
            for name, (kind, method) in unary.items()
        }
        made = grpc.unary_stream_rpc_method_handler
        reader = reader_of(messages.WatchPositionRequest)
        found["WatchPosition"] = made(self.watch, reader, _written)
        return found

    async def enqueue(
        self, request: messages.EnqueueBookingRequest, context: Context
    ) -> messages.EnqueueBookingResponse:
        who = await callers.caller(self._pod, context, "create")
        wish = wish_in(request)
        token = callers.entry_token_in(context)
        await check_admission(self._pod, request.event_id, who.user_id, token)
        await self._refuse_certain(request, who.user_id)
        came = await self._pod.booking.entrance.enqueue(
            request.event_id,
            who.user_id,
            request.idempotency_key,
            wish,
            encoded_ids(current.get()),
        )
        if came is NotTaken.FULL:
            raise Problem.of(ApiReason.OVERLOADED, "The event's queue is full; come back later.")
        if came is NotTaken.OTHER:
            raise Problem.of(
                ApiReason.IDEMPOTENCY_KEY_REUSED, "Use a new key for another request."
            )
        if came.is_new:
            self._pod.booking.notices.item(came.item)
        return enqueued_body(came)

    async def _refuse_certain(self, request: messages.EnqueueBookingRequest, user_id: str) -> None:
        """Raise Problem where the view proves that the log would refuse a new request.

        And for sections that this pod does not know: invented ones would fill Redis, and workers
        look after each event that is named.
        """
        view, where = self._pod.view, (request.event_id, request.section)
        count = request.seat_count or len(request.seats)
        if not view.knows(*where):
            await self._check_absent(*where, user_id)
        reason = view.can_refuse(*where, count, adjacent=not request.seats)
        if not view.knows(*where):
            reason = Reason.UNKNOWN_SECTION
        if reason is None:
            return
        item = item_id(user_id, request.idempotency_key, request.event_id)
        if await self._pod.booking.queue.look(item) is None:
            raise Problem.of(
                reason, "The log would refuse it now; nothing was put into the queue."
            )

    async def _check_absent(self, event_id: int, section: str, user_id: str) -> None:
        """Return once all is read that was told of such a section when it was asked for.

        Raises Problem (503) where the brokers do not tell in time: it may be open since just now.
        """
        view = self._pod.view
        with self._unsure.of(user_id):
            is_certain = await view.absent_since(event_id, (section,), view.now_ns(), CERTAIN_S)
        if not is_certain and not view.knows(event_id, section):
            raise Problem.of(
                ApiReason.NOT_READY,
                "The brokers do not tell yet whether there is such a section; ask again shortly.",
            )

    async def position(
        self, request: messages.GetQueuePositionRequest, context: Context
    ) -> messages.QueuePosition:
        return position_body(await self._looked_at(request, context))

    async def status(
        self, request: messages.GetQueueStatusRequest, context: Context
    ) -> messages.QueueStatus:
        return status_body(await self._looked_at(request, context))

    async def cancel(
        self, request: messages.CancelQueueItemRequest, context: Context
    ) -> messages.CancelQueueItemResponse:
        who = await callers.caller(self._pod, context, "cancel")
        came = await self._pod.booking.queue.cancel(request.queue_item_id, who.user_id)
        item = _found(came, who.user_id)
        if item.status is ItemStatus.CANCELLED:
            self._pod.booking.notices.item(item)
        return cancelled_body(item)

    async def watch(self, request: Any, context: Context) -> AsyncIterator[messages.QueuePosition]:
        """Yield where an item stands whenever that has changed; ends with the item or the pod."""
        async with callers.told(context):
            _refuse_unreadable(request)
            who = await callers.caller(self._pod, context, "position")
            with self._streams.of(who.user_id):
                last, looks = None, looks_of(self._pod)
                while not self._pod.draining.is_set():
                    item = _found(await looks.look(request.queue_item_id), who.user_id)
                    now = position_body(item)
                    if now != last:
                        yield now
                        last = now
                    if item.status in OVER:
                        return
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._pod.draining.wait(), LOOK_EVERY_S)
                raise Problem.of(ApiReason.NOT_READY, "This pod ends; watch at another.")

    async def _looked_at(self, request: _ItemIdIn, context: Context) -> Item:
        who = await callers.caller(self._pod, context, "position")
        return await self._own(request.queue_item_id, who.user_id)

    async def _own(self, item_id: str, user_id: str) -> Item:
        return _found(await self._pod.booking.queue.look(item_id), user_id)


def _found(item: Item | None, user_id: str) -> Item:
    # Not "forbidden": whether somebody else's item exists is nobody's business.
    if item is None or item.user_id != user_id:
        raise Problem.of(ApiReason.NOT_FOUND, "There is no such item, or it is over for too long.")
    return item


def _refuse_unreadable(request: Any) -> None:
    if isinstance(request, Unreadable):
        raise Problem.of(ApiReason.MALFORMED, "The bytes are not the message of this method.")


def _answering(method: Unary) -> Unary:
    """Return a method whose refusals and faults are codes, and which ends in bounded time."""

    async def answer(request: Any, context: Context) -> Any:
        async with callers.told(context), asyncio.timeout(CALL_S):
            _refuse_unreadable(request)
            return cast("Message", await method(request, context))
        raise AssertionError("a call that was told of goes on")

    return answer
