"""A worker's parts are handed on whole, so that one more of them is a field and no argument."""

from dataclasses import fields
from inspect import signature

import pytest

from streams.runtime.ownership.generation import Generation
from streams.runtime.ownership.takeover import TakeOver
from streams.runtime.transactions.group_commit import GroupCommit
from streams.runtime.worker_parts import WorkerParts


@pytest.mark.parametrize("kind", [Generation, TakeOver, GroupCommit])
def test_nothing_that_the_parts_have_is_handed_on_beside_them(kind: type) -> None:
    taken = signature(kind).parameters
    assert "parts" in taken
    assert not taken.keys() & {field.name for field in fields(WorkerParts)}
