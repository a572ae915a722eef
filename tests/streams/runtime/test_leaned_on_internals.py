"""Names what moved when an upgrade changes an internal of Faust or aiokafka that we lean on."""

import inspect
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

import aiokafka
import aiokafka.client
import aiokafka.consumer.fetcher
import aiokafka.producer.sender
import faust
import faust.transport.consumer
import mode.threads
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver

from streams.runtime.transactions.transaction import FateUnknown

PINNED = {
    "faust-streaming": "0.15.3",
    "aiokafka": "0.14.0",
    "mode-streaming": "0.7.1",
    "confluent-kafka": "2.16.0",
}

fetcher = aiokafka.consumer.fetcher
sender = aiokafka.producer.sender

# What is called or overridden, with the parameters that ours rely on, in order.
SIGNATURES: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
    (faust.App._on_partitions_revoked, ("self", "revoked")),
    (faust.App._on_partitions_assigned, ("self", "assigned", "generation_id")),
    (TableManager.on_partitions_revoked, ("self", "revoked")),
    (
        TableManager.on_rebalance,
        ("self", "assigned", "revoked", "newly_assigned", "generation_id"),
    ),
    (TableManager.on_actives_ready, ("self",)),
    (TableManager.on_standbys_ready, ("self",)),
    (faust.App.on_rebalance_end, ("self",)),
    (driver.AIOKafkaConsumerThread._create_worker_consumer, ("self", "transport")),
    (driver.AIOKafkaConsumerThread.on_thread_stop, ("self",)),
    (driver.Consumer._new_consumer_thread, ("self",)),
    (faust.transport.consumer.Consumer._drain_messages, ("self", "fetcher")),
    (faust.transport.consumer.Consumer._getmany, ("self", "active_partitions", "timeout")),
    (faust.transport.consumer.Consumer._get_active_partitions, ("self",)),
    (faust.transport.consumer.Consumer.wait_for_stopped_flow, ("self",)),
    (faust.transport.consumer.Consumer.stop_flow, ("self",)),
    (faust.transport.consumer.Consumer.resume_flow, ("self",)),
    (faust.transport.consumer.Consumer.pause_partitions, ("self", "tps")),
    (faust.transport.consumer.Consumer.resume_partitions, ("self", "tps")),
    (faust.transport.consumer.Consumer.seek, ("self", "partition", "offset")),
    (GroupCoordinator._do_fetch_commit_offsets, ("self", "partitions")),
    (GroupCoordinator._send_req, ("self", "request")),
    (GroupCoordinator.ensure_coordinator_known, ("self",)),
    (GroupCoordinator.coordinator_dead, ("self",)),
    (AIOKafkaAdminClient._send_request, ("self", "request", "node_id")),
    (AIOKafkaAdminClient.find_coordinator, ("self", "group_id")),
    (aiokafka.AIOKafkaConsumer.commit, ("self", "offsets")),
    (aiokafka.AIOKafkaConsumer.pause, ("self", "partitions")),
    (aiokafka.AIOKafkaConsumer.resume, ("self", "partitions")),
    (aiokafka.client.AIOKafkaClient.send, ("self", "node_id", "request")),
    (driver.AIOKafkaConsumerThread._ensure_consumer, ("self",)),
    (fetcher.PartitionRecords._unpack_records, ("self",)),
    (fetcher.PartitionRecords._consume_aborted_up_to, ("self", "batch_offset")),
    (fetcher.PartitionRecords._contains_abort_marker, ("self", "next_batch")),
    (fetcher.FetchResult.getall, ("self", "max_records")),
    (fetcher.FetchResult.check_assignment, ("self", "tp")),
    (fetcher.FetchResult.has_more, ("self",)),
    (fetcher.FetchResult._update_position, ("self",)),
    (sender.Sender._send_produce_req, ("self", "node_id", "batches")),
    (sender.SendProduceReqHandler.handle_response, ("self", "response")),
    (sender.SendProduceReqHandler.create_request, ("self",)),
    (sender.BaseHandler.do, ("self", "node_id")),
    (TransactionManager.wait_for_pid, ("self",)),
    (BatchBuilder.size, ("self",)),
    (BatchBuilder.close, ("self",)),
    (
        DefaultRecordBatchBuilder.append,
        ("self", "offset", "timestamp", "key", "value", "headers"),
    ),
    (aiokafka.AIOKafkaProducer.send_batch, ("self", "batch", "topic", "partition")),
    (aiokafka.AIOKafkaProducer.send_offsets_to_transaction, ("self", "offsets", "group_id")),
]

# Attributes that ours read or set: the source that makes them must still name them.
ATTRIBUTES = [
    (aiokafka.AIOKafkaConsumer, "self._coordinator = GroupCoordinator("),
    (fetcher.PartitionRecords, "next_fetch_offset"),
    (fetcher.PartitionRecords, "_aborted_producers"),
    (fetcher.PartitionRecords, "_isolation_level"),
    (fetcher.PartitionRecords, "_check_crcs"),
    (fetcher.FetchResult, "_partition_records"),
    (fetcher.FetchResult, "_topic_partition"),
    (fetcher.Fetcher, "PartitionRecords("),
    (fetcher.Fetcher, "self._client.send(node_id, request)"),
    (fetcher.Fetcher, "tp_state.paused"),
    (mode.threads.ServiceThread, "self.thread_loop"),
    (fetcher.Fetcher, "FetchResult("),
    (sender.Sender, "_in_flight"),
    (sender.Sender, "_muted_partitions"),
    (sender.Sender, "self._message_accumulator"),
    (sender.BaseHandler, "self._sender.client.send("),
    (sender.SendProduceReqHandler, "_to_reenqueue"),
    (sender.SendProduceReqHandler, "self._client = sender.client"),
    (aiokafka.AIOKafkaProducer, "self._sender = Sender("),
    (aiokafka.AIOKafkaProducer, "self._txn_manager"),
    (BatchBuilder, "self._relative_offset"),
    (BatchBuilder, "self._builder"),
    (faust.Worker, "self.loop.run_until_complete(fut)"),
    (faust.Worker, "self._sentinel_task()"),
    (faust.App, "on_partitions_revoked"),
    (faust.App, "self._fetcher"),
    (faust.transport.consumer.Consumer, "not_waiting_next_records"),
    (faust.transport.consumer.Consumer, "flow_active"),
    (driver.AIOKafkaConsumerThread, "_assignor"),
    (StickyPartitionAssignor, "parse_member_metadata"),
    (StickyPartitionAssignor, "def _metadata("),
]


@pytest.mark.parametrize("package", PINNED)
def test_the_libraries_are_the_pinned_ones(package: str) -> None:
    assert version(package) == PINNED[package], f"{package}: run the fault tests before moving on"


@pytest.mark.parametrize(
    ("function", "parameters"), SIGNATURES, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_a_function_that_we_lean_on_takes_what_it_took(
    function: Callable[..., Any], parameters: tuple[str, ...]
) -> None:
    known = tuple(inspect.signature(function).parameters)
    assert known[: len(parameters)] == parameters


@cache
def source_of(owner: type) -> str:
    return inspect.getsource(owner)


@pytest.mark.parametrize(
    ("owner", "text"), ATTRIBUTES, ids=lambda value: getattr(value, "__qualname__", value)
)
def test_an_attribute_that_we_lean_on_is_still_there(owner: type, text: str) -> None:
    sources = [source_of(one) for one in owner.__mro__ if one.__module__ != "builtins"]
    assert any(text in source for source in sources), f"{owner.__qualname__} lost {text}"


def test_an_unanswered_transactional_request_escapes_the_clients_own_retries() -> None:
    """`BaseHandler.do` repeats on KafkaError; what our producers raise must not be one."""
    assert "except KafkaError" in inspect.getsource(sender.BaseHandler.do)
    assert not issubclass(FateUnknown, KafkaError)
