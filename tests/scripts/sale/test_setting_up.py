"""Workers are asked to leave all at once, then waited for, whatever ended the sale."""

from typing import cast

import pytest

from infra.stack import StackError
from scripts.contracts import topics as creating
from scripts.processes.workers import Worker
from scripts.sale.setting_up import prepare_topics, running
from scripts.sale.table import Display


class Noted:
    """A worker that notes what is asked of it."""

    def __init__(self, name: str, notes: list[str], *, starts: bool = True) -> None:
        self.name, self.notes, self.starts = name, notes, starts

    def start(self) -> None:
        if not self.starts:
            raise OSError("no such program")
        self.notes.append(f"start {self.name}")

    def terminate(self) -> None:
        self.notes.append(f"terminate {self.name}")

    def finish(self) -> None:
        self.notes.append(f"finish {self.name}")


ENDED = ["terminate a", "terminate b", "finish a", "finish b"]


def test_all_are_asked_before_any_is_waited_for() -> None:
    notes: list[str] = []
    with running([cast("Worker", Noted(name, notes)) for name in "ab"]):
        assert notes == ["start a", "start b"]
    assert notes[2:] == ENDED


def test_what_started_is_ended_where_another_does_not_start() -> None:
    notes: list[str] = []
    workers = [Noted("a", notes), Noted("b", notes, starts=False)]
    with pytest.raises(OSError, match="no such"), running([cast("Worker", w) for w in workers]):
        pass
    assert notes == ["start a", *ENDED]


def test_brokers_that_create_no_topics_in_time_are_a_part_that_did_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(creating, "TIMEOUT_S", 0.1)
    with Display() as display, pytest.raises(StackError, match="run it again"):
        prepare_topics("127.0.0.1:1", display)
