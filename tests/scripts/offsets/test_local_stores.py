"""What a worker keeps is removed while it is away, and of nobody else."""

from pathlib import Path

import pytest

from scripts.offsets.local_stores import OF_WORKERS, InUse, clear, held
from streams.runtime.process.data_dir import lock_data_dir
from streams.runtime.process.fatal import WorkerMustEnd


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "lock").touch()
    (tmp_path / "stores" / "seats-7").mkdir(parents=True)
    (tmp_path / "stores" / "seats-7" / "000.sst").touch()
    (tmp_path / "crash-journal.json").touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_what_a_worker_keeps_is_removed_once_and_what_else_lies_there_stays(
    data_dir: Path,
) -> None:
    for _ in range(2):
        clear(data_dir)
        assert sorted(path.name for path in data_dir.iterdir()) == ["lock", "notes.txt"]


def test_p5_a_directory_that_a_worker_has_is_left_alone(data_dir: Path) -> None:
    with (
        lock_data_dir(data_dir),
        pytest.raises(InUse, match="stop it"),
        held([data_dir]),
    ):
        clear(data_dir)
    assert (data_dir / "stores").exists()


def test_s3_16_no_worker_starts_where_stores_are_about_to_be_removed(data_dir: Path) -> None:
    with held([data_dir, data_dir / "stores" / ".."]):
        with pytest.raises(WorkerMustEnd):
            lock_data_dir(data_dir)
        clear(data_dir)
    lock_data_dir(data_dir).close()


def test_a_directory_of_somebody_else_is_left_alone(data_dir: Path) -> None:
    (data_dir / "lock").unlink()
    with pytest.raises(InUse, match="no data directory"), held([data_dir]):
        clear(data_dir)
    assert (data_dir / OF_WORKERS[0]).exists()
