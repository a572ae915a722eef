"""Fixtures of the tests with Redis."""

from collections.abc import Iterator

import pytest

from state.redis import line as redis_line


@pytest.fixture(scope="session", autouse=True)
def patient_with_redis() -> Iterator[None]:
    """Give Redis a second without a word: on a busy machine it may not run for a tenth of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_line, "SILENT_TICKS", 50)
        yield
