"""What a worker says about clocks."""

import json

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
