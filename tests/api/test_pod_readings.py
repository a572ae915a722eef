from api.pod import Pod
from api.settings import ApiSettings
from api.web.metrics import ApiMetrics
from infra.process.metrics import Read


def test_a_pod_of_all_parts_reads_each_row_that_is_read_once() -> None:
    # None of its parts is started.
    read = [row for row, _ in Pod.of(ApiSettings(brokers="127.0.0.1:1"))._readings()]
    wanted = [row for row in ApiMetrics.table() if isinstance(row, Read)]
    assert sorted(read, key=str) == sorted(wanted, key=str)


def test_a_pod_that_lacks_parts_shows_what_it_has() -> None:
    page = Pod(ApiSettings()).metrics.exposition().decode()
    assert "seatstream_api_limits_allowed_total 0.0" in page
    assert "seatstream_view_lookups" not in page
