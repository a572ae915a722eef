"""A table of metrics becomes a page of its own for each process."""

import re

from infra.process.metrics import (
    Metrics,
    counter,
    gauge,
    histogram,
    read_counter,
    read_gauge,
)


class Bakery(Metrics):
    loaves = counter("bakery_loaves", "Loaves baked, by kind.", "kind")
    ovens = gauge("bakery_ovens", "Ovens that are hot.")
    seconds = histogram("bakery_seconds", "From dough to bread.", buckets=(1.0, 2.0))
    doors = read_counter("bakery_doors_opened", "How often a door was opened.")
    celsius = read_gauge("bakery_celsius", "Heat of the oven.")
    grams = read_gauge("bakery_flour_grams", "Flour that is left, by mill.", "mill")


def lines(metrics: Metrics) -> list[str]:
    return metrics.exposition().decode().splitlines()


def test_what_is_told_stands_on_the_page_with_its_kind_and_meaning() -> None:
    metrics = Bakery()
    metrics.loaves.labels("rye").inc(3)
    metrics.ovens.set(2)
    metrics.seconds.observe(1.5)
    page = lines(metrics)
    assert "# HELP bakery_loaves_total Loaves baked, by kind." in page
    assert "# TYPE bakery_loaves_total counter" in page
    assert 'bakery_loaves_total{kind="rye"} 3.0' in page
    assert "bakery_ovens 2.0" in page
    assert 'bakery_seconds_bucket{le="1.0"} 0.0' in page
    assert 'bakery_seconds_bucket{le="2.0"} 1.0' in page


def test_what_is_read_is_asked_for_with_each_page_and_never_before() -> None:
    metrics, asked = Bakery(), 0

    def source() -> list[tuple[object, float]]:
        nonlocal asked
        asked += 1
        return [(Bakery.doors, asked), (Bakery.celsius, 230.0)]

    metrics.read_from(source)  # type: ignore[arg-type]
    assert asked == 0
    assert "bakery_doors_opened_total 1.0" in lines(metrics)
    page = lines(metrics)
    assert "bakery_doors_opened_total 2.0" in page
    assert "bakery_celsius 230.0" in page


def test_what_is_read_has_a_line_for_each_of_its_labels_under_one_head() -> None:
    metrics = Bakery()
    metrics.read_from(
        lambda: [
            (Bakery.grams, 1.0, ("wind",)),
            (Bakery.celsius, 7),
            (Bakery.grams, 2, ("water",)),
        ]
    )
    page = lines(metrics)
    assert 'bakery_flour_grams{mill="wind"} 1.0' in page
    assert 'bakery_flour_grams{mill="water"} 2.0' in page
    assert page.count("# TYPE bakery_flour_grams gauge") == 1


def test_two_processes_of_one_kind_share_nothing() -> None:
    one, other = Bakery(), Bakery()
    one.ovens.set(7)
    assert "bakery_ovens 0.0" in lines(other)


def test_the_table_lists_every_row_once_with_the_name_that_the_page_shows() -> None:
    shown = [row.shown_name for row in Bakery.table()]
    assert shown == [
        "seatstream_build_info",
        "bakery_loaves_total",
        "bakery_ovens",
        "bakery_seconds",
        "bakery_doors_opened_total",
        "bakery_celsius",
        "bakery_flour_grams",
    ]


def test_every_process_tells_what_it_is_and_what_it_uses() -> None:
    page = lines(Metrics("0a1b2c"))
    [build] = [line for line in page if line.startswith("seatstream_build_info")]
    assert re.fullmatch(
        r".*python=\"3\.[0-9.]+.*\",revision=\"0a1b2c\",version=\".+\"} 1.0", build
    )
    assert any(line.startswith("process_resident_memory_bytes ") for line in page)
    assert any(line.startswith("process_cpu_seconds_total ") for line in page)
