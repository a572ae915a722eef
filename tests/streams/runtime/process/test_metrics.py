from support.pages.metric_names import faults_in

from streams.runtime.process.metrics import WorkerMetrics


def test_the_table_of_a_worker_keeps_to_what_prometheus_asks_of_names() -> None:
    assert list(faults_in(WorkerMetrics.table())) == []


def test_no_label_of_a_worker_grows_with_what_is_sold() -> None:
    labels = {label for row in WorkerMetrics.table() for label in row.labels}
    bounded = {"partition", "reason", "cause", "topic", "answer", "broker", "kind", "role"}
    # Those of a route's performers, and four.
    bounded |= {"destination", "result"}
    assert labels <= bounded | {"version", "revision", "python"}
