"""A second topic of statuses is made once, and is waited for until workers write it."""

from collections.abc import Iterable
from typing import Any

import pytest

from schemas.topics import SECTION_STATUS
from scripts.brokers.addresses import Servers
from scripts.contracts.topics import Create
from scripts.rebuilding import live, second_topic
from scripts.rebuilding.recreating import Anew, Refused
from scripts.rebuilding.second_topic import make, second_of

WHERE = Servers("localhost:1", "http://localhost:1")
NAME = f"{SECTION_STATUS.name}-b"


class World:
    """there: partitions of the second topic; 0 while nobody has made it."""

    def __init__(self) -> None:
        self.there = 0
        self.made: list[Create] = []
        self.waited: list[tuple[str, set[str], dict[int, int]]] = []
        self.missing = 0

    def create_of(self, where: Servers, copies: int | None, count: int | None) -> Anew:
        step = Create(where.status.name, count or 20, copies or 1, {})
        return Anew(step, is_there=bool(self.there), holds_up=not self.there)

    def carry_out(self, _: Any, steps: Iterable[Create]) -> None:
        self.made += steps

    def wait(self, where: Servers, wanted: set[str], begins: dict[int, int], _: float) -> int:
        self.waited.append((where.status.name, wanted, begins))
        return self.missing


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    for name, value in (
        ("create_of", made.create_of),
        ("carry_out", made.carry_out),
        ("AdminClient", lambda _: None),
        ("spans_of", lambda *_: dict.fromkeys(range(made.there), (0, 1))),
        ("states_of", lambda _: {"1-A": None}),
    ):
        monkeypatch.setattr(second_topic, name, value)
    monkeypatch.setattr(live, "wait_until_told", made.wait)
    return made


def test_u2_it_is_made_with_its_own_number_of_partitions_and_waited_for(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    second = second_of(WHERE, NAME, 40, 3)
    assert next(second.plan()) == f"create {NAME}: 40 partitions, 3 replicas"
    make(second, 1.0)
    assert [(one.name, one.partitions) for one in world.made] == [(NAME, 40)]
    assert world.waited == [(NAME, {"1-A"}, dict.fromkeys(range(40), 0))]
    settings = f"SEATSTREAM_STATUS_TOPIC={NAME} SEATSTREAM_STATUS_ALSO=section-status"
    assert settings in capsys.readouterr().err


def test_f84_who_comes_again_makes_nothing_and_waits_for_the_same(world: World) -> None:
    world.there = 7
    for partitions in (None, 7):
        second = second_of(WHERE, NAME, partitions, None)
        assert not [line for line in second.plan() if line.startswith("create")]
        make(second, 1.0)
    assert world.made == []
    assert {len(begins) for _, _, begins in world.waited} == {7}


def test_one_that_is_there_with_another_number_is_refused_and_so_is_the_topic_itself(
    world: World,
) -> None:
    world.there = 7
    with pytest.raises(Refused, match="is there with 7 partitions"):
        second_of(WHERE, NAME, 8, None)
    with pytest.raises(Refused, match="the topic itself"):
        second_of(WHERE, SECTION_STATUS.name, None, None)


def test_sections_that_nobody_writes_there_are_counted_with_what_to_do(world: World) -> None:
    world.missing = 1
    with pytest.raises(Refused, match=r"1 of 1 sections .* SEATSTREAM_STATUS_ALSO"):
        make(second_of(WHERE, NAME, 40, None), 0.0)


def test_what_is_left_names_the_settings_of_pods_and_the_way_back(world: World) -> None:
    [_, pods, back, rest] = second_of(WHERE, NAME, 40, None).what_is_left()
    assert f"SEATSTREAM_STATUS_TOPIC={NAME}" in pods
    assert "workers still write section-status" in back
    assert "without SEATSTREAM_STATUS_ALSO" in rest
    assert world.made == []
