"""Free TCP ports of the loopback interface."""

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST: Final = 15_000
ATTEMPTS: Final = 1_000
TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTENING: Final = "0A"  # as the kernel's tables write the state LISTEN


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different ports that were free a moment ago.

    They lie below the range from which the kernel takes ports for outgoing connections. Any client
    could take a port of that range while our server restarts, even a client of that very server,
    which would then be connected to itself.
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


def is_listening(pid: int, port: int) -> bool:
    """Say whether this very process listens on a TCP port.

    An answer from the port proves only that somebody listens there: where another server was
    faster, it is that one's.
    """
    ours = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            # It may be closed while we look.
            with suppress(OSError):
                if str(descriptor.readlink()) in ours:
                    return True
    return False


def _listening_inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in TABLES:
        # A machine without IPv6 lacks the second one.
        with suppress(FileNotFoundError):
            for line in table.read_text(encoding="utf-8").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def _candidates() -> tuple[int, int]:
    try:
        first_ephemeral = int(EPHEMERAL_RANGE.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = 32_768
    enough = 2_000
    if first_ephemeral - LOWEST < enough:
        return LOWEST, 60_000
    return LOWEST, first_ephemeral - 1
