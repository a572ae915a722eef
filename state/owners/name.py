"""The name under which a worker owns partitions: what it commits beside every offset.

    {app id}-{instance}@{host}:{port};-{generation}
    {app id}-{instance}-{generation}                   without an address

It is the prefix of the owner's transactional ids, so whoever takes a partition over fences these;
it ends with the group generation, so that a worker that was away too long learns it; and it says
where the owner answers look-ups. Workers from before the address took the whole text for the
prefix and the digits behind the last dash for the generation: both still hold, so old and new ones
may take partitions over from one another.

The address ends with `;` because confluent_kafka 2.16.0 returns bytes behind the end of metadata.
"""

from __future__ import annotations

import re
from typing import Final

# Neither an app id nor an instance has an `@`.
_ADDRESS: Final = re.compile(r"@([A-Za-z0-9._:\[\]-]{1,255}:[0-9]{1,5});")


def owner_name(app_id: str, instance: str, generation: int, address: str = "") -> str:
    """Return the name of a worker's generation.

    address: `host:port` of its look-ups; empty where it answers none.
    """
    at = f"@{address};" if address else ""
    return f"{app_id}-{instance}{at}-{generation}"


def generation_of(owner: str) -> int:
    """Return the group generation in an owner's name; -1 when it is none of ours."""
    _, _, last = owner.rpartition("-")
    return int(last) if last.isascii() and last.isdigit() else -1


def address_of(metadata: str) -> str:
    """Return the `host:port` in committed metadata, whatever follows; empty without one."""
    found = _ADDRESS.search(metadata)
    return found[1] if found else ""


def host_and_port(host: str, port: int) -> str:
    """Return an address as it stands in a name and in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
