from support.pages.metric_names import faults_in

from api.web.metrics import ApiMetrics


def test_the_table_of_a_pod_keeps_to_what_prometheus_asks_of_names() -> None:
    assert list(faults_in(ApiMetrics.table())) == []


def test_no_label_of_a_pod_grows_with_what_is_sold_or_who_asks() -> None:
    labels = {label for row in ApiMetrics.table() for label in row.labels}
    assert labels == {
        "route",
        "status",
        "reason",
        "topic",
        "outcome",
        "version",
        "revision",
        "python",
    }
