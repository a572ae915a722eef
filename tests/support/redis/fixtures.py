"""Fixtures of tests with Redis, for the conftest of whoever has such tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.stack.redis_server import RedisServer
from state.redis import line as redis_line


@pytest.fixture(scope="session", autouse=True)
def patient_with_redis() -> Iterator[None]:
    """Give Redis a second without a word: on a busy machine it may not run for a tenth of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_line, "SILENT_TICKS", 50)
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a server of our own, to be paused and killed."""
    server = RedisServer(tmp_path)
    server.begin()
    server.wait()
    yield server
    server.kill()
