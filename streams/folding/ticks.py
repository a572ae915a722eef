"""Keys of the ticks: records that only move the time of a partition's log."""

import re
from typing import Final

TICK_KEY: Final = b"tick"
# A tick under this key also switches the rules: from its offset on the log's time follows no jump
# (`log_time.py`). Older logs have ticks under `TICK_KEY`, and are folded by the older rules.
GUARDED_TICK_KEY: Final = b"tick-2"
_NUMBERED: Final = re.compile(rb"tick-([1-9][0-9]{0,8})")


def tick_version(key: bytes | None) -> int:
    """Return the version of the rules that holds from a tick with this key on.

    1 for a key without a number.
    """
    numbered = _NUMBERED.fullmatch(key or b"")
    return int(numbered[1]) if numbered else 1


def is_tick_key(key: bytes | None) -> bool:
    """Say whether a record under this key is a tick, if one of ours has written it."""
    return key == TICK_KEY or _NUMBERED.fullmatch(key or b"") is not None
