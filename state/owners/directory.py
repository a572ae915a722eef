"""Who owns which partition: the metadata of the group's committed offsets says so.

aiokafka reads it: confluent_kafka 2.16.0 reads beyond the end of a committed offset's metadata,
and raises when what lies there is no text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetFetchRequest

from state.kafka.group_offsets import committed_in
from state.owners.questions import OwnerUnreachable

BROKER_S: Final = 3.0
NO_ARGUMENTS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Directory:
    """Who owns which partition of the group, as of one moment of the loop's clock."""

    owner_by_place: Mapping[tuple[str, int], str]
    read_at_s: float


class Group(Protocol):
    """Where the directory is read from."""

    async def owners(self) -> Mapping[tuple[str, int], str]:
        """Return owners by (topic, partition), exactly as they were committed.

        Raises OwnerUnreachable when the brokers do not tell.
        """

    async def close(self) -> None: ...


class CommittedOwners:
    """Implements `Group` on the metadata of the group's committed offsets."""

    def __init__(self, brokers: str, group: str, kafka: Mapping[str, Any] = NO_ARGUMENTS) -> None:
        self._group = group
        self._brokers = brokers
        self._kafka = kafka
        self._admin: AIOKafkaAdminClient | None = None

    async def owners(self) -> Mapping[tuple[str, int], str]:
        try:
            async with asyncio.timeout(BROKER_S):
                admin = await self._connected()
                coordinator = await admin.find_coordinator(self._group)
                request = OffsetFetchRequest(self._group, None)
                # The public call reads no error of the whole group.
                answer = await admin._send_request(request, coordinator)  # noqa: SLF001
                committed = committed_in(answer)
        except (KafkaError, TimeoutError, OSError) as error:
            # The coordinator may have moved, which this client does not notice by itself.
            await self.close()
            raise OwnerUnreachable(f"the brokers do not tell who owns what: {error!r}") from error
        # Of a partition that the coordinator cannot tell about nothing is known, as of one that
        # nobody has claimed: its look-ups ask again.
        return {
            (tp.topic, tp.partition): at.metadata
            for tp, at in committed.items()
            if not isinstance(at, KafkaError)
        }

    async def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(
                bootstrap_servers=self._brokers.split(","),
                client_id="seatstream-owner-lookup",
                request_timeout_ms=int(BROKER_S * 1000),
                **self._kafka,
            )
            await admin.start()
            self._admin = admin
        return self._admin
