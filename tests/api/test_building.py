"""What a pod is made of, and what is counted of it."""

import asyncio
from typing import Any

import pytest
from support.pods.api_pods import pod_with

from api.building import pod_of, whole_pod
from api.pod import PartAbsent, Pod, _Named
from api.settings import IN_KAFKA, IN_REDIS, ApiSettings
from api.web.metrics import ApiMetrics
from infra.process.metrics import Read
from topology import POD_WRITES

PARTS = (
    "view",
    "outcomes",
    "commands",
    "desk",
    "owners",
    "seat_maps",
    "catalogue",
    "descriptions",
    "ids",
)


def test_a_pod_of_all_parts_reads_each_row_that_is_read_once() -> None:
    # None of its parts is started.
    found = set[Any]()
    for kept_in in (IN_REDIS, IN_KAFKA):
        settings = ApiSettings(brokers="127.0.0.1:1", booking_queue=kept_in, grpc_port=1)
        read = list(whole_pod(settings)._readings())
        places = [(row, *map(tuple, labels)) for row, _, *labels in read]
        assert len(places) == len(set(places))
        found |= {row for row, *_ in read}
    assert found == {row for row in ApiMetrics.table() if isinstance(row, Read)}


def test_every_topic_that_a_pod_appends_to_is_counted() -> None:
    page = whole_pod(ApiSettings(brokers="127.0.0.1:1")).metrics.exposition().decode()
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
    page = pod_of(ApiSettings()).metrics.exposition().decode()
    assert "seatstream_api_limits_allowed_total 0.0" in page
    assert "seatstream_view_lookups" not in page


def test_a_pod_of_all_parts_has_them_connects_to_nothing_and_ends_before_it_began() -> None:
    pod = whole_pod(ApiSettings(brokers="127.0.0.1:1"))
    named = [name for name, one in vars(Pod).items() if isinstance(one, _Named)]
    assert {*PARTS, "issued", "payments", "carts", "waiting"} <= {*named}
    for name in named:
        assert getattr(pod, name) is not None
    assert pod.readiness() == {
        "view": False,
        "outcomes": False,
        "catalogue": False,
        "commands": False,
        "descriptions": False,
        "payments": False,
        "carts": False,
        # Nobody has a key yet: none is set.
        "keys": pod.verifier.is_ready,
        "partitions": True,
    }
    assert pod.troubles() == {}
    asyncio.run(pod.stop())


@pytest.mark.parametrize("name", PARTS)
def test_whoever_asks_for_a_part_that_is_not_there_fails_by_its_name(name: str) -> None:
    with pytest.raises(PartAbsent, match=f"this pod has no {name}"):
        getattr(pod_with(), name)
