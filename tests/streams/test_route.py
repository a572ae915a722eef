"""What a route must say of itself, and which routes a worker plays."""

from dataclasses import replace

import pytest

from streams.batch import Batch, Effects, State
from streams.intents import Intent
from streams.route import Progress, Route, played
from streams.settings import BadSetting


def nothing(batch: Batch, state: State, log_time_ms: int) -> Effects:
    return Effects()


def route(role: str, source: str) -> Route:
    return Route(role, source, nothing, (), source + "-changelog", "dead")


ROUTES = [route("seats", "commands"), route("payments", "asked"), route("payments", "answered")]


def sources(*roles: str) -> list[str]:
    return [one.source for one in played(ROUTES, roles)]


def test_a_worker_plays_the_routes_of_its_roles_and_all_without_one() -> None:
    assert sources("payments") == ["asked", "answered"]
    assert sources("payments", "seats") == sources() == ["commands", "asked", "answered"]


def test_a_role_that_no_route_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadSetting, match=r"SEATSTREAM_ROLES.*'juggling'; known: payments, seats"):
        sources("seats", "juggling")


def test_a_route_that_keeps_its_progress_says_how_a_poisonous_record_moves_it() -> None:
    with pytest.raises(ValueError, match="needs `refuse`"):
        Route("r", "s", nothing, (), "c", "d", progress=lambda _: Progress(0, 0))


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


def test_a_route_with_performers_says_how_its_handler_hears_of_them() -> None:
    with pytest.raises(ValueError, match="needs `answer`"):
        Route("r", "s", nothing, (), "c", "d", performers={"bank": nobody})


def test_what_goes_by_key_is_published() -> None:
    with pytest.raises(ValueError, match=r"is published: .*'elsewhere'"):
        Route("r", "s", nothing, ("out",), "c", "d", by_key=("elsewhere",))


def test_a_store_may_have_intents_where_there_are_performers_beside_what_keys_tell() -> None:
    ours = b"k1"
    plain = replace(route("r", "s"), owns=lambda key, _partition, _partitions: key == ours)
    calls = replace(plain, performers={"bank": nobody}, answer=lambda _intent, _answer: (b"", b""))
    assert plain.may_store is not None
    assert calls.may_store is not None
    assert [plain.may_store(key, 0, 1) for key in (ours, b"\xfeid", b"x")] == [True, False, False]
    assert [calls.may_store(key, 0, 1) for key in (ours, b"\xfeid", b"x")] == [True, True, False]
    assert route("r", "s").may_store is None
