"""The allocation service of a script starts, answers, and ends in order."""

from pathlib import Path

import pytest

from infra.stack.processes import wait_until
from scripts.processes.allocation import AllocationService


@pytest.mark.programs
def test_it_answers_once_it_is_ready_and_ends_in_order(tmp_path: Path) -> None:
    service = AllocationService(tmp_path / "allocation")
    assert not service.is_ready()
    service.start()
    try:
        assert wait_until(service.is_ready, 60), service.log()
        assert service.exit_code() is None
    finally:
        service.terminate()
        service.finish(60)
    assert service.exit_code() == 0
    assert not service.is_ready()
