"""What a worker says about clocks, and of partitions that it cannot read."""

import json

import pytest

from infra.process.log_lines import JsonFormatter
from state.kafka.open_transactions import Open
from streams.batch import DeadLetter
from streams.driver import PipedRecord
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.process.observer import Observer


def pages(observer: Observer) -> tuple[dict[str, object], str]:
    return json.loads(observer.ready()[1]), observer.exposition().decode()


def test_f78_a_broker_whose_clock_is_off_is_named_until_it_is_right() -> None:
    observer = Observer(30)
    observer.clocks({"a:1": 3_600.0, "b:1": 0.1}, {"a:1": 3_600.0})
    ready, metrics = pages(observer)
    assert ready["broker_clocks_off_s"] == {"a:1": 3_600.0}
    assert 'seatstream_broker_clock_offset_seconds{broker="a:1"} 3600.0' in metrics
    observer.clocks({"a:1": 0.0, "b:1": 0.1}, {})
    assert pages(observer)[0]["broker_clocks_off_s"] == {}


def test_f78_a_partition_whose_time_stands_still_is_counted_and_named() -> None:
    observer = Observer(30)
    observer.time({"c-0": 3_600_000, "c-1": 59_000})
    ready, metrics = pages(observer)
    assert ready["time_paused_s"] == {"c-0": 3_600.0}
    assert "seatstream_partitions_time_paused 1.0" in metrics
    observer.time({"c-0": 0, "c-1": 0})
    ready, metrics = pages(observer)
    assert ready["time_paused_s"] == {}
    assert "seatstream_partitions_time_paused 0.0" in metrics


def running() -> Observer:
    observer = Observer(30)
    observer.opened(1, [], 2, 0, 0.0, 0.0)
    assert observer.ready()[0]
    return observer


def test_s4_a_partition_that_could_not_be_read_is_well_once_it_was_read() -> None:
    observer = running()
    observer.left("c-1")
    observer.set_aside("c-1", PartitionTrouble("cannot be read", "input"), 1.0)
    # An answer that was on its way comes in, and then it is tried again.
    observer.reads([("c", 1)])
    assert not observer.ready()[0]
    observer.taken_in("c-1")
    assert not observer.ready()[0]
    assert 'seatstream_partitions_parked{reason="input"} 1.0' in pages(observer)[1]
    observer.reads([("c", 0)])
    assert not observer.ready()[0]
    observer.reads([("c", 0), ("c", 1)])
    assert observer.ready()[0]
    assert 'seatstream_partitions_parked{reason="input"} 0.0' in pages(observer)[1]


def test_s4_a_partition_that_leaves_again_is_not_read() -> None:
    observer = running()
    for _ in range(2):
        observer.left("c-1")
        observer.set_aside("c-1", PartitionTrouble("cannot be read", "input"), 1.0)
        observer.reads([("c", 1)])
        assert not observer.ready()[0]
        observer.taken_in("c-1")


def test_s4_any_other_trouble_is_over_when_the_partition_is_taken_in() -> None:
    observer = running()
    observer.left("c-1")
    observer.set_aside("c-1", PartitionTrouble("its disk is full", "store"), 1.0)
    observer.taken_in("c-1")
    assert observer.ready()[0]


def test_s4_brokers_that_answer_nothing_are_told_until_they_do_or_nothing_is_owned() -> None:
    observer = running()
    observer.brokers_silent(True)
    ready, metrics = pages(observer)
    assert ready["brokers_silent"] is True
    assert "seatstream_brokers_silent 1.0" in metrics
    assert not observer.ready()[0]
    observer.brokers_silent(False)
    assert observer.ready()[0]
    observer.brokers_silent(True)
    observer.closed(1)
    assert pages(observer)[0]["brokers_silent"] is False


def test_what_states_keep_is_shown_and_gone_with_their_partitions() -> None:
    observer = Observer(30)
    observer.kept({"p-0": {("payments", "DONE"): 3, ("payments", "PENDING"): 0}})
    metrics = pages(observer)[1]
    assert 'seatstream_kept{kind="DONE",role="payments"} 3.0' in metrics
    assert 'seatstream_kept{kind="PENDING",role="payments"} 0.0' in metrics
    observer.kept({})
    assert 'seatstream_kept{kind="DONE",role="payments"} 0.0' in pages(observer)[1]


def test_lines_about_a_record_carry_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer(30.0)
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ids = (("correlation-id", b"c1"), ("traceparent", trace))
    record = PipedRecord("orders", 0, 7, 1, b"k", b"v", ids)
    letter = DeadLetter(record, "BAD_BODY", "why", 3)
    for tell in (observer.dead_letter, observer.given_up):
        caplog.clear()
        tell("orders-0", letter)
        [line] = caplog.records
        said = json.loads(JsonFormatter().format(line))
        assert (said["correlation_id"], said["traceparent"]) == ("c1", trace.decode())
        assert "orders-0 offset 7" in said["message"]


def test_what_is_given_up_is_no_dead_letter(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer(30.0)
    observer.given_up("orders-0", DeadLetter(PipedRecord("orders", 0, 7, 1, b"k", b"v"), "R", ""))
    assert "seatstream_dead_letters_total{" not in pages(observer)[1]


def test_what_cannot_be_counted_now_is_no_less_there_and_is_told() -> None:
    observer = Observer(30)
    observer.kept({"p-0": {("payments", "DONE"): 3}, "p-1": {("payments", "DONE"): 4}})
    assert "seatstream_partitions_uncounted 0.0" in pages(observer)[1]
    for _ in range(2):
        observer.kept({"p-0": None, "p-1": {("payments", "DONE"): 5}})
        metrics = pages(observer)[1]
        assert 'seatstream_kept{kind="DONE",role="payments"} 8.0' in metrics
        assert "seatstream_partitions_uncounted 1.0" in metrics
    # While partitions change hands nobody counts; then another has this one.
    observer.closed(1)
    assert 'seatstream_kept{kind="DONE",role="payments"} 8.0' in pages(observer)[1]
    observer.kept({"p-1": None})
    metrics = pages(observer)[1]
    assert 'seatstream_kept{kind="DONE",role="payments"} 5.0' in metrics
    observer.assigned([])
    metrics = pages(observer)[1]
    assert 'seatstream_kept{kind="DONE",role="payments"} 0.0' in metrics
    assert "seatstream_partitions_uncounted 0.0" in metrics


def test_what_was_said_of_a_partition_stands_until_it_is_anothers() -> None:
    observer = Observer(30, open_s_max=10)
    observer.assigned([("c", 0), ("c", 1)])
    places = {"c-0": (5, 9, 1), "c-1": (7, 7, 1)}
    observer.lag(places, 2)
    open_now = {("c", 0): Open(3, 6, 40.0)}
    observer.open_transactions({"c", "out"}, open_now)
    observer.closed(1)
    metrics = pages(observer)[1]
    assert 'seatstream_lag_records{partition="c-0"} 4.0' in metrics
    assert 'seatstream_open_transaction_seconds{topic="c"} 40.0' in metrics
    observer.assigned([("c", 1)])
    metrics = pages(observer)[1]
    assert 'partition="c-0"' not in metrics
    assert 'seatstream_lag_records{partition="c-1"} 0.0' in metrics
    observer.assigned([])
    # Brokers were asked before, and answer now.
    observer.lag(places, 2)
    observer.open_transactions({"c", "out"}, open_now)
    metrics = pages(observer)[1]
    assert 'partition="c-' not in metrics
    assert "seatstream_open_transaction_seconds{" not in metrics
    assert json.loads(observer.ready()[1])["hanging_transactions"] == []


def test_a_lag_that_nobody_measures_now_is_no_smaller_and_grows_old() -> None:
    observer = running()
    observer.lag({"c-0": (5, 9, 1_000), "c-1": (3, 4, 7_000)}, 9_000)
    assert "seatstream_lag_seconds 8.0" in pages(observer)[1]
    # One is set aside, or its leader does not tell where it ends; the other is decided.
    observer.left("c-0")
    observer.lag({"c-1": (4, 4, 10_000)}, 11_000)
    ready, metrics = pages(observer)
    assert ready["lag_records"] == 4
    assert 'seatstream_lag_records{partition="c-0"} 4.0' in metrics
    assert "seatstream_lag_seconds 10.0" in metrics
    observer.lag({}, 12_000)
    assert "seatstream_lag_seconds 11.0" in pages(observer)[1]
    observer.lag({"c-0": (9, 9, 12_000)}, 13_000)
    ready, metrics = pages(observer)
    assert ready["lag_records"] == 0
    assert "seatstream_lag_seconds 0.0" in metrics
