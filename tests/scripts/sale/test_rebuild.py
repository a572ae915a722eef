"""What the command told is what the demo tells; one that told nothing has not done it."""

import json
from pathlib import Path

import pytest

from scripts.brokers.addresses import Servers
from scripts.sale.rebuild import Rebuild

WHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("told", "keys", "mismatches", "exact"),
    [
        ({"verified": True, "rebuilt_keys": 9, "rebuild_mismatches": 0}, 9, 0, True),
        ({"verified": False, "rebuilt_keys": 8, "rebuild_mismatches": 1}, 8, 1, False),
        ({"error": "no broker"}, 0, 1, False),
    ],
)
def test_u2_figures_are_those_that_the_command_told(
    told: dict[str, object], keys: int, mismatches: int, exact: bool, tmp_path: Path
) -> None:
    (tmp_path / "rebuilt.json").write_text(json.dumps(told))
    rebuild = Rebuild(WHERE, tmp_path)
    assert rebuild.figures == {"rebuilt_keys": keys, "rebuild_mismatches": mismatches}
    assert rebuild.is_exact is exact
    # The demo's files go before its verdict comes.
    (tmp_path / "rebuilt.json").unlink()
    assert rebuild.is_exact is exact
    assert rebuild.figures["rebuilt_keys"] == keys


def test_one_that_was_killed_has_told_nothing(tmp_path: Path) -> None:
    rebuild = Rebuild(WHERE, tmp_path)
    assert rebuild.has_ended()
    rebuild.start()
    rebuild.kill()
    assert rebuild.has_ended()
    assert not rebuild.is_exact
    rebuild.kill()
