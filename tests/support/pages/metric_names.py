"""What Prometheus asks of the names of metrics."""

from collections.abc import Iterator

from infra.process.metrics import Row

_UNITS = ("_seconds", "_bytes", "_share", "_info")


def faults_in(rows: list[Row]) -> Iterator[str]:
    """Tell what is wrong with the rows of a table; nothing where it can be shown as it is."""
    names = [row.name for row in rows]
    yield from (f"{name} twice" for name in set(names) if names.count(name) > 1)
    for row in rows:
        if not row.name.startswith("seatstream_"):
            yield f"{row.name} has not our prefix"
        if row.name.endswith("_total"):
            yield f"{row.name}: the page adds _total to counters"
        if bool(row.buckets) != (row.kind == "histogram") or list(row.buckets) != sorted(
            row.buckets
        ):
            yield f"{row.name}: buckets are ascending, and of histograms only"
        if row.kind == "histogram" and not row.name.endswith(("_seconds", "_records")):
            yield f"{row.name}: what does it measure?"
        if any(unit[1:] in row.name.split("_")[:-1] for unit in _UNITS):
            yield f"{row.name}: the unit stands last"
        if not row.meaning.endswith(".") or row.meaning[0].islower():
            yield f"{row.name}: {row.meaning!r} is no sentence"
