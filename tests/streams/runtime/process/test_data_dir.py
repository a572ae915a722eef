"""A data directory has one worker at a time."""

from pathlib import Path

import pytest

from streams.runtime.process.data_dir import lock_data_dir
from streams.runtime.process.fatal import WorkerMustEnd


def test_a_directory_is_locked_until_its_worker_is_gone(tmp_path: Path) -> None:
    first = lock_data_dir(tmp_path)
    with pytest.raises(WorkerMustEnd, match="SEATSTREAM_DATA_DIR of its own"):
        lock_data_dir(tmp_path)
    first.close()
    lock_data_dir(tmp_path).close()
