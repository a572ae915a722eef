"""Free TCP ports of the loopback interface."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Final

EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST: Final = 15_000
ATTEMPTS: Final = 1_000


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different ports that were free a moment ago.

    They lie below the range that the kernel uses for outgoing connections: a port of that range
    can be taken by any client while our server restarts, or by a client of that very server,
    which then talks to itself.
    """
    lowest, highest = _candidates()
    chosen: list[int] = []
    with ExitStack() as held:
        for _ in range(ATTEMPTS):
            if len(chosen) == count:
                return tuple(chosen)
            # Random, so that two launchers starting together rarely meet.
            port = random.randint(lowest, highest)  # noqa: S311
            if port in chosen:
                continue
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen.append(port)
    raise OSError(f"no {count} free ports between {lowest} and {highest}")


def _candidates() -> tuple[int, int]:
    try:
        first_ephemeral = int(EPHEMERAL_RANGE.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = 32_768
    enough = 2_000
    if first_ephemeral - LOWEST < enough:
        return LOWEST, 60_000
    return LOWEST, first_ephemeral - 1
