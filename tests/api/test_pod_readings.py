from api.pod import Pod
from api.settings import ApiSettings
from api.web.metrics import ApiMetrics
from infra.process.metrics import Read
from topology import POD_WRITES


def test_a_pod_of_all_parts_reads_each_row_that_is_read_once() -> None:
    # None of its parts is started.
    read = list(Pod.of(ApiSettings(brokers="127.0.0.1:1"))._readings())
    wanted = {row for row in ApiMetrics.table() if isinstance(row, Read)}
    assert {row for row, *_ in read} == wanted
    places = [(row, *map(tuple, labels)) for row, _, *labels in read]
    assert len(places) == len(set(places))


def test_every_topic_that_a_pod_appends_to_is_counted() -> None:
    page = Pod.of(ApiSettings(brokers="127.0.0.1:1")).metrics.exposition().decode()
    for topic in POD_WRITES:
        for name in (
            "appended_total",
            "refused_total",
            "unknown_total",
            "unacknowledged",
            "partitions_stuck",
        ):
            assert f'seatstream_commands_{name}{{topic="{topic}"}} 0.0' in page


def test_a_pod_that_lacks_parts_shows_what_it_has() -> None:
    page = Pod(ApiSettings()).metrics.exposition().decode()
    assert "seatstream_api_limits_allowed_total 0.0" in page
    assert "seatstream_view_lookups" not in page
