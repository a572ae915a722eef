"""Who owns what is read from the group's committed offsets, or it is said that nobody tells."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import CoordinatorLoadInProgressError

from state.owners.directory import CommittedOwners
from state.owners.questions import OwnerUnreachable


class Admin:
    """Stands for aiokafka's client of a broker: what its coordinator answers is told by the test.

    error: of the whole group. topics: (topic, [(partition, offset, metadata, error)]).
    """

    def __init__(self, error: int = 0, topics: Any = ()) -> None:
        self._answer = SimpleNamespace(API_VERSION=3, error_code=error, topics=topics)
        self.is_closed = False

    async def find_coordinator(self, _group: str) -> int:
        return 1

    async def _send_request(self, _request: object, _coordinator: int) -> Any:
        return self._answer

    async def close(self) -> None:
        self.is_closed = True


def owners_told_by(admin: Admin) -> CommittedOwners:
    owners = CommittedOwners("nowhere:1", "seats")
    stand_in: Any = admin
    owners._admin = stand_in
    return owners


def test_owners_are_what_stands_beside_the_offsets() -> None:
    loading = CoordinatorLoadInProgressError.errno
    topics = [("in", [(0, 7, "seats-one-3", 0), (1, 7, "", 0), (2, -1, "", loading)])]
    admin = Admin(topics=topics)
    found = asyncio.run(owners_told_by(admin).owners())
    assert found == {("in", 0): "seats-one-3", ("in", 1): ""}
    assert not admin.is_closed


def test_an_error_of_the_whole_group_is_no_empty_directory() -> None:
    admin = Admin(error=CoordinatorLoadInProgressError.errno)
    with pytest.raises(OwnerUnreachable, match="do not tell who owns what"):
        asyncio.run(owners_told_by(admin).owners())
    # The coordinator may be elsewhere by now.
    assert admin.is_closed
