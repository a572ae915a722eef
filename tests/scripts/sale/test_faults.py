"""The demo's further faults: drawn by the seed alone, and what they do to the files of stores."""

import random
from pathlib import Path

from scripts.sale.faults import (
    GROUP_FAULTS,
    STORE_FAULTS,
    copy_stores,
    damage_stores,
    draw_faults,
)


def test_one_fault_for_the_group_and_one_for_a_store_are_drawn_by_the_seed() -> None:
    drawn = {seed: draw_faults(random.Random(seed)) for seed in range(200)}
    assert {group for group, _ in drawn.values()} == GROUP_FAULTS.keys()
    assert {store for _, store in drawn.values()} == STORE_FAULTS.keys()
    assert drawn == {seed: draw_faults(random.Random(seed)) for seed in range(200)}


def test_a_copy_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "stores").mkdir()
    (tmp_path / "stores" / "old").write_bytes(b"1")
    copy_stores(tmp_path / "stores", tmp_path / "copy")
    (tmp_path / "stores" / "new").write_bytes(b"2")
    copy_stores(tmp_path / "copy", tmp_path / "stores")
    assert [file.name for file in (tmp_path / "stores").iterdir()] == ["old"]
    copy_stores(tmp_path / "none", tmp_path / "stores")
    assert not (tmp_path / "stores").exists()


def test_damage_is_one_bit_in_each_file_of_values(tmp_path: Path) -> None:
    (tmp_path / "a.db").mkdir()
    files = [tmp_path / "a.db" / name for name in ("000009.sst", "000011.sst", "MANIFEST-000004")]
    for file in files:
        file.write_bytes(bytes(100))
    assert damage_stores(tmp_path, random.Random(1)) == 2
    ones = [int.from_bytes(file.read_bytes(), "big").bit_count() for file in files]
    assert ones == [1, 1, 0]
