"""Requests that no client library has are written as Kafka's protocol guide lays them out."""

from scripts.brokers.transaction_requests import (
    DescribeProducers,
    DescribeProducersRequest_v0,
    ListTransactions,
    ListTransactionsRequest_v0,
    WriteTxnMarkers,
    WriteTxnMarkersRequest_v1,
)

# A compact array or text begins with its length and one; an empty set of tags is a zero.
NO_TAGS = "00"
TOPIC = "02" + b"t".hex()


def test_a_marker_names_producer_end_place_and_coordinator_epoch() -> None:
    request = WriteTxnMarkers(7, 3, True, ("t", 2), 5).build(WriteTxnMarkersRequest_v1)
    producer = "0000000000000007" + "0003" + "01"
    topics = "02" + TOPIC + "02" + "00000002" + NO_TAGS
    assert request.encode().hex() == "02" + producer + topics + "00000005" + NO_TAGS + NO_TAGS


def test_an_abort_differs_from_a_commit_in_one_byte() -> None:
    commit, abort = (
        WriteTxnMarkers(7, 3, is_commit, ("t", 2), 5).build(WriteTxnMarkersRequest_v1).encode()
        for is_commit in (True, False)
    )
    assert [(a, b) for a, b in zip(commit, abort, strict=True) if a != b] == [(1, 0)]


def test_producers_are_asked_for_by_topic_and_partitions() -> None:
    request = DescribeProducers({"t": [1, 2]}).build(DescribeProducersRequest_v0)
    partitions = "03" + "00000001" + "00000002"
    assert request.encode().hex() == "02" + TOPIC + partitions + NO_TAGS + NO_TAGS


def test_transactions_are_asked_for_without_a_filter() -> None:
    request = ListTransactions().build(ListTransactionsRequest_v0)
    assert request.encode().hex() == "01" + "01" + NO_TAGS
