"""How old what a pod knows is, and the clock that this is told by."""

import time
from typing import Final

# The age of what was never known: older than any age that may be demanded, and still an int in
# every client.
UNKNOWN_AGE_MS: Final = 2**31 - 1

_MS: Final = 1_000_000

# CLOCK_MONOTONIC stands still while a machine is suspended, so ages by it would be too small.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_clock_ns() -> int:
    """Read a clock that never goes back, and runs on while the process or the machine sleeps."""
    return time.clock_gettime_ns(_CLOCK)


def age_ms(known_ns: int, now_ns: int) -> int:
    """Return an age, rounded up since it is a bound."""
    return (now_ns - known_ns + _MS - 1) // _MS


def never_known_ns(now_ns: int) -> int:
    """Return the clock's reading that lies `UNKNOWN_AGE_MS` before `now_ns`."""
    return now_ns - UNKNOWN_AGE_MS * 1_000_000
