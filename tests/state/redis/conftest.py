"""Fixtures of the tests with Redis."""

from collections.abc import Iterator

import pytest
from support.redis.fixtures import patient_with_redis, server
from support.redis.nodes import cluster

__all__ = ["cluster_url", "patient_with_redis", "server"]


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a cluster of three masters."""
    with cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url
