"""Kafka's requests about transactions that no client library of ours has."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


def _fields(*named: tuple[str, Any]) -> Schema:
    """Return the schema of a message of a flexible version; tagged fields end it."""
    return Schema(*named, _TAGS)


def _each(name: str, *named: tuple[str, Any]) -> tuple[str, CompactArray]:
    """Return a field that is an array of structs; tagged fields end each of them."""
    return name, CompactArray(*named, _TAGS)


class DescribeProducersResponse_v0(Response):
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = _fields(
        ("throttle_time_ms", Int32),
        _each(
            "topics",
            ("name", _TEXT),
            _each(
                "partitions",
                ("partition", Int32),
                ("error_code", Int16),
                ("error_message", _TEXT),
                _each(
                    "producers",
                    ("producer_id", Int64),
                    ("producer_epoch", Int32),
                    ("last_sequence", Int32),
                    ("last_timestamp", Int64),
                    ("coordinator_epoch", Int32),
                    ("txn_start_offset", Int64),
                ),
            ),
        ),
    )


class DescribeProducersRequest_v0(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = DescribeProducersResponse_v0
    SCHEMA = _fields(_each("topics", ("name", _TEXT), ("partitions", CompactArray(Int32))))


class DescribeProducers(Request[DescribeProducersRequest_v0]):
    """Asks leaders who writes to their partitions, and where open transactions began (-1: none).

    places: partitions by topic.
    """

    API_KEY = 61

    def __init__(self, places: Mapping[str, Sequence[int]]) -> None:
        self._places = places

    def build(
        self, request_struct_class: type[DescribeProducersRequest_v0]
    ) -> DescribeProducersRequest_v0:
        topics: list[Any] = [
            (topic, list(partitions), {}) for topic, partitions in self._places.items()
        ]
        return request_struct_class(topics, {})


class ListTransactionsResponse_v0(Response):
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = _fields(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(_TEXT)),
        _each(
            "transaction_states",
            ("transactional_id", _TEXT),
            ("producer_id", Int64),
            ("state", _TEXT),
        ),
    )


class ListTransactionsRequest_v0(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 66
    API_VERSION = 0
    RESPONSE_TYPE = ListTransactionsResponse_v0
    SCHEMA = _fields(
        ("state_filters", CompactArray(_TEXT)), ("producer_id_filters", CompactArray(Int64))
    )


class ListTransactions(Request[ListTransactionsRequest_v0]):
    """Asks a broker for the transactional ids that it coordinates, and their states."""

    API_KEY = 66

    def build(
        self, request_struct_class: type[ListTransactionsRequest_v0]
    ) -> ListTransactionsRequest_v0:
        return request_struct_class([], [], {})


class WriteTxnMarkersResponse_v1(Response):
    API_KEY = 27
    API_VERSION = 1
    SCHEMA = _fields(
        _each(
            "markers",
            ("producer_id", Int64),
            _each(
                "topics",
                ("name", _TEXT),
                _each("partitions", ("partition", Int32), ("error_code", Int16)),
            ),
        ),
    )


class WriteTxnMarkersRequest_v1(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 27
    API_VERSION = 1
    RESPONSE_TYPE = WriteTxnMarkersResponse_v1
    SCHEMA = _fields(
        _each(
            "markers",
            ("producer_id", Int64),
            ("producer_epoch", Int16),
            ("is_commit", Boolean),
            _each("topics", ("name", _TEXT), ("partitions", CompactArray(Int32))),
            ("coordinator_epoch", Int32),
        ),
    )


class WriteTxnMarkers(Request[WriteTxnMarkersRequest_v1]):
    """Ends a producer's transaction on one partition, as its coordinator would."""

    API_KEY = 27

    def __init__(
        self,
        producer_id: int,
        producer_epoch: int,
        is_commit: bool,
        place: tuple[str, int],
        coordinator_epoch: int,
    ) -> None:
        topic, partition = place
        topics: list[Any] = [(topic, [partition], {})]
        self._marker: Any = producer_id, producer_epoch, is_commit, topics, coordinator_epoch, {}

    def build(
        self, request_struct_class: type[WriteTxnMarkersRequest_v1]
    ) -> WriteTxnMarkersRequest_v1:
        return request_struct_class([self._marker], {})
