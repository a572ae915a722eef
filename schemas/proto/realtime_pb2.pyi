from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NotifyQueueRequest(_message.Message):
    __slots__ = ("notices",)
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    notices: _containers.RepeatedCompositeFieldContainer[QueueNotice]
    def __init__(self, notices: _Optional[_Iterable[_Union[QueueNotice, _Mapping]]] = ...) -> None: ...

class QueueNotice(_message.Message):
    __slots__ = ("notice_id", "type", "user_id", "event_id", "queue_item_id", "position", "estimated_wait_ms", "revision", "reservation_id", "reason", "correlation_id", "traceparent")
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    notice_id: str
    type: str
    user_id: str
    event_id: int
    queue_item_id: str
    position: int
    estimated_wait_ms: int
    revision: int
    reservation_id: str
    reason: str
    correlation_id: str
    traceparent: str
    def __init__(self, notice_id: _Optional[str] = ..., type: _Optional[str] = ..., user_id: _Optional[str] = ..., event_id: _Optional[int] = ..., queue_item_id: _Optional[str] = ..., position: _Optional[int] = ..., estimated_wait_ms: _Optional[int] = ..., revision: _Optional[int] = ..., reservation_id: _Optional[str] = ..., reason: _Optional[str] = ..., correlation_id: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class NotifyQueueResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
