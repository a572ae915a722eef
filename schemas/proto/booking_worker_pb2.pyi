from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ItemStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ITEM_STATUS_UNSPECIFIED: _ClassVar[ItemStatus]
    ITEM_STATUS_WAITING: _ClassVar[ItemStatus]
    ITEM_STATUS_PROCESSING: _ClassVar[ItemStatus]
    ITEM_STATUS_COMPLETED: _ClassVar[ItemStatus]
    ITEM_STATUS_EXPIRED: _ClassVar[ItemStatus]
    ITEM_STATUS_CANCELLED: _ClassVar[ItemStatus]
    ITEM_STATUS_DEAD: _ClassVar[ItemStatus]
ITEM_STATUS_UNSPECIFIED: ItemStatus
ITEM_STATUS_WAITING: ItemStatus
ITEM_STATUS_PROCESSING: ItemStatus
ITEM_STATUS_COMPLETED: ItemStatus
ITEM_STATUS_EXPIRED: ItemStatus
ITEM_STATUS_CANCELLED: ItemStatus
ITEM_STATUS_DEAD: ItemStatus

class Seat(_message.Message):
    __slots__ = ("row", "seat")
    ROW_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    row: int
    seat: int
    def __init__(self, row: _Optional[int] = ..., seat: _Optional[int] = ...) -> None: ...

class EnqueueBookingRequest(_message.Message):
    __slots__ = ("idempotency_key", "event_id", "section", "seats", "seat_count", "total_amount", "currency", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SECTION_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    SEAT_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    event_id: int
    section: str
    seats: _containers.RepeatedCompositeFieldContainer[Seat]
    seat_count: int
    total_amount: int
    currency: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, idempotency_key: _Optional[str] = ..., event_id: _Optional[int] = ..., section: _Optional[str] = ..., seats: _Optional[_Iterable[_Union[Seat, _Mapping]]] = ..., seat_count: _Optional[int] = ..., total_amount: _Optional[int] = ..., currency: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class EnqueueBookingResponse(_message.Message):
    __slots__ = ("queue_item_id", "status", "position", "estimated_wait_ms", "expires_at_ms", "is_new")
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    queue_item_id: str
    status: ItemStatus
    position: int
    estimated_wait_ms: int
    expires_at_ms: int
    is_new: bool
    def __init__(self, queue_item_id: _Optional[str] = ..., status: _Optional[_Union[ItemStatus, str]] = ..., position: _Optional[int] = ..., estimated_wait_ms: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., is_new: _Optional[bool] = ...) -> None: ...

class GetQueuePositionRequest(_message.Message):
    __slots__ = ("queue_item_id",)
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    queue_item_id: str
    def __init__(self, queue_item_id: _Optional[str] = ...) -> None: ...

class QueuePosition(_message.Message):
    __slots__ = ("queue_item_id", "status", "position", "estimated_wait_ms")
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    queue_item_id: str
    status: ItemStatus
    position: int
    estimated_wait_ms: int
    def __init__(self, queue_item_id: _Optional[str] = ..., status: _Optional[_Union[ItemStatus, str]] = ..., position: _Optional[int] = ..., estimated_wait_ms: _Optional[int] = ...) -> None: ...

class GetQueueStatusRequest(_message.Message):
    __slots__ = ("queue_item_id",)
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    queue_item_id: str
    def __init__(self, queue_item_id: _Optional[str] = ...) -> None: ...

class QueueStatus(_message.Message):
    __slots__ = ("queue_item_id", "event_id", "status", "position", "estimated_wait_ms", "attempts", "enqueued_at_ms", "expires_at_ms", "reservation_id", "reason")
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ENQUEUED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    queue_item_id: str
    event_id: int
    status: ItemStatus
    position: int
    estimated_wait_ms: int
    attempts: int
    enqueued_at_ms: int
    expires_at_ms: int
    reservation_id: str
    reason: str
    def __init__(self, queue_item_id: _Optional[str] = ..., event_id: _Optional[int] = ..., status: _Optional[_Union[ItemStatus, str]] = ..., position: _Optional[int] = ..., estimated_wait_ms: _Optional[int] = ..., attempts: _Optional[int] = ..., enqueued_at_ms: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., reservation_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelQueueItemRequest(_message.Message):
    __slots__ = ("queue_item_id",)
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    queue_item_id: str
    def __init__(self, queue_item_id: _Optional[str] = ...) -> None: ...

class CancelQueueItemResponse(_message.Message):
    __slots__ = ("cancelled", "status")
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    cancelled: int
    status: ItemStatus
    def __init__(self, cancelled: _Optional[int] = ..., status: _Optional[_Union[ItemStatus, str]] = ...) -> None: ...

class WatchPositionRequest(_message.Message):
    __slots__ = ("queue_item_id",)
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    queue_item_id: str
    def __init__(self, queue_item_id: _Optional[str] = ...) -> None: ...
