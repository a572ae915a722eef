"""A sale stops where a pod has ended, and is over when nothing is left to decide or to ask."""

from collections.abc import Iterator
from typing import cast

import pytest

from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import Place, Rest
from scripts.processes.pods import ApiPod, PodFailed
from scripts.processes.workers import Supervisor, Worker
from scripts.sale import sale as module
from scripts.sale.buyers import Buyers
from scripts.sale.gateway import GatewayControl
from scripts.sale.issuing import Issuing
from scripts.sale.pages import Pages
from scripts.sale.payments import Payments
from scripts.sale.rebuild import Rebuild
from scripts.sale.sale import Sale
from scripts.sale.table import Display
from scripts.sale.web.buyers import WebBuyers

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")
A, B = ("section-commands", 0), ("payment-commands", 1)


class Process:
    """A pod that ended with this code, or runs. views: what it shows, one after the other."""

    def __init__(self, code: int | None = None, views: tuple[bytes, ...] = ()) -> None:
        self.code = code
        self.views = list(views)
        self.story: list[str] = []

    def view_after(self, *_: object) -> bytes:
        self.story.append("look")
        return self.views.pop(0)

    def start(self) -> None:
        self.story.append("start")

    def terminate(self) -> None:
        self.story.append("end")

    def finish(self) -> None:
        pass

    def exit_code(self) -> int | None:
        return self.code

    def log(self) -> str:
        return "the last lines"


class Web:
    failure: Exception | None = None


class Asking:
    """A worker that tells these counts of open intents, and the last one for ever."""

    name = "worker-1"

    def __init__(self, *counts: float | None) -> None:
        self.counts = list(counts)

    def metric(self, _: str) -> float | None:
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]

    def exit_code(self) -> None:
        return None


def sale_of(pod: Process, web: Web, *workers: Asking) -> Sale:
    return Sale(
        cast("Buyers", None),
        cast("WebBuyers", web),
        Supervisor(cast("list[Worker]", list(workers))),
        cast("ApiPod", pod),
        cast("Payments", None),
        cast("GatewayControl", None),
        Display(),
        cast("Issuing", None),
        cast("Pages", None),
    )


def test_a_pod_that_ended_is_named_before_the_buyers_that_it_failed() -> None:
    web = Web()
    web.failure = OSError("connection refused")
    with pytest.raises(PodFailed, match="exit code 3"):
        sale_of(Process(3), web).check_pod()
    with pytest.raises(OSError, match="refused"):
        sale_of(Process(), web).check_pod()


class Still:
    """Buyers, payments and a rebuild of which nothing moves; has_ended: the rebuild has."""

    outcomes = lapses = sold = under_way = waiting = free = held = 0

    def __init__(self, *, has_ended: bool) -> None:
        self.has_ended = lambda: has_ended


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_sale_that_waits_for_a_rebuild_alone_does_not_stand_still(
    has_ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rebuild ends by itself; a slow machine takes its time for it."""
    still = Still(has_ended=has_ended)
    sale = sale_of(Process(), Web())
    sale.buyers, sale.payments = cast("Buyers", still), cast("Payments", still)
    sale.rebuild = cast("Rebuild", still)
    sale.check_progress()
    monkeypatch.setattr(module, "STANDSTILL_S", -1.0)
    if has_ended:
        with pytest.raises(module.DemoFailed, match="nothing moved"):
            sale.check_progress()
    else:
        sale.check_progress()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_EVERY_S", 0.0)


def say(
    monkeypatch: pytest.MonkeyPatch, *waiting: dict[Place, tuple[int, int]], ends: str = ""
) -> None:
    """Let brokers tell what waits, and how the statuses end; the last of each for ever."""
    told, lengths = list(waiting), list(ends)

    def rest(*_: object) -> Rest:
        return Rest({}, {}, told.pop(0) if len(told) > 1 else told[0])

    monkeypatch.setattr(module, "rest", rest)
    monkeypatch.setattr(
        module, "ends_of", lambda *_: {A: lengths.pop(0) if len(lengths) > 1 else lengths[0]}
    )


def ticking() -> Iterator[float]:
    """Give clocks that go on by ten seconds at each look."""
    yield from (10.0 * each for each in range(1_000))


def test_all_is_at_rest_when_nothing_waits_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, {A: (3, 4)}, {A: (4, 5), B: (1, 2)}, {})
    assert sale_of(Process(), Web()).until_at_rest(NOWHERE)


def test_a_partition_that_stands_still_is_not_waited_for_while_ticks_move_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves = [{A: (7, 9 + each), B: (each, each + 1)} for each in range(1_000)]
    say(monkeypatch, *moves)
    clock = ticking()
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    assert not sale_of(Process(), Web()).until_at_rest(NOWHERE)


@pytest.mark.parametrize("counts", [(0,), (3, 0), (None, 2, None, 0), (0, 1, 0)])
def test_a_sale_is_settled_when_no_worker_has_anything_to_ask(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[float | None, ...]
) -> None:
    say(monkeypatch, {})
    worker = Asking(*counts)
    sale_of(Process(), Web(), worker).until_settled(NOWHERE)
    assert worker.counts == [0]


@pytest.mark.parametrize("left", [2, None])
def test_what_is_never_answered_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], left: float | None
) -> None:
    say(monkeypatch, {})
    clock = ticking()
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    sale_of(Process(), Web(), Asking(left)).until_settled(NOWHERE)
    assert f"not settled, open intents: {left}" in capsys.readouterr().out


@pytest.mark.parametrize(("counts", "said"), [((2, 1, 0), ""), ((3,), "3 seats are locked still")])
def test_locks_that_go_by_themselves_are_waited_for_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    counts: tuple[int, ...],
    said: str,
) -> None:
    left, clock = list(counts), ticking()
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    monkeypatch.setattr(
        module, "read_locks", lambda _: (None,) * (left.pop(0) if len(left) > 1 else left[0])
    )
    sale_of(Process(), Web()).until_unlocked("redis://nowhere:1")
    assert left == [counts[-1]]
    assert said in capsys.readouterr().out


def test_the_last_view_is_the_pods_own_where_nothing_came_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say(monkeypatch, {}, ends="5")
    pod = Process(views=(b"first",))
    assert sale_of(pod, Web()).last_view(NOWHERE, "token") == b"first"
    assert pod.story == ["look", "end"]


def test_what_the_pod_appended_last_is_in_the_view_that_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say(monkeypatch, {}, ends="566")
    pod = Process(views=(b"first", b"second"))
    assert sale_of(pod, Web()).last_view(NOWHERE, "token") == b"second"
    assert pod.story == ["look", "end", "start", "look", "end"]
