"""All is issued once the topics rest, and only then no question to the service is open."""

from pathlib import Path

import pytest

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import Place, Rest
from scripts.sale import issuing as module
from scripts.sale.issuing import GROUP, Issuing

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")
PLACE: Place = ("purchase-confirmed", 0)


class World:
    """What is behind, and how many questions are open, at each look; the last ones for ever."""

    def __init__(self, behind: list[bool], left: list[int | None]) -> None:
        self.behind = behind
        self.left = left
        self.looks = 0

    def rest(self, where: Servers, group: str, topics: object) -> Rest:
        assert (where, group) == (NOWHERE, GROUP)
        if topics == [SEATS_ALLOCATED]:
            return Rest({}, {}, {})
        assert topics == (PURCHASE_CONFIRMED, PURCHASE_CREATED)
        self.looks += 1
        is_behind = self.behind.pop(0) if len(self.behind) > 1 else self.behind[0]
        return Rest({}, {}, {PLACE: (0, 1)} if is_behind else {})

    def metric(self, name: str) -> int | None:
        assert name == "seatstream_open_intents"
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def issuing_in(
    world: World, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Issuing:
    monkeypatch.setattr(module, "rest", world.rest)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0)
    issuing = Issuing(NOWHERE, tmp_path, {}, said.append)
    monkeypatch.setattr(issuing._worker, "metric", world.metric)
    return issuing


def test_it_waits_for_both_topics_and_then_for_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    # A worker that starts again tells nothing.
    world = World([True, False], [None, 2, 0])
    issuing_in(world, said, tmp_path, monkeypatch).until_done()
    assert (world.looks, said) == (4, [])


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(module, "DONE_S", 0)
    issuing_in(World([True], [0]), said, tmp_path, monkeypatch).until_done()
    assert said == ["not all is issued"]


def test_one_that_was_never_started_may_be_stopped(tmp_path: Path) -> None:
    issuing = Issuing(NOWHERE, tmp_path, {}, lambda _: None)
    issuing.stop()
    assert issuing._worker.exit_code() is None


def test_answers_are_signed_with_a_secret_of_this_run_alone(tmp_path: Path) -> None:
    secrets = {
        Issuing(NOWHERE, tmp_path, {}, lambda _: None)._worker._environment[
            "SEATSTREAM_ANSWER_SECRET"
        ]
        for _ in range(2)
    }
    assert len(secrets) == 2
