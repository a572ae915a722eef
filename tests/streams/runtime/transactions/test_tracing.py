"""Records are told as spans where they are committed, and their traces recorded."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.process import spans
from streams.driver import PipedRecord
from streams.runtime.transactions.tracing import tell_committed, traced_in

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = (("traceparent", TRACE.encode()),)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(spans, "_told_to", [SimpleNamespace(add=found.append)])
    return found


def taken(*headers: tuple[tuple[str, bytes], ...], place: str = "section-commands-3") -> Any:
    records = [
        PipedRecord("section-commands", 3, at, 0, b"k", b"v", own)
        for at, own in enumerate(headers)
    ]
    return SimpleNamespace(place=place), records


def decided(*places: str) -> Any:
    return [SimpleNamespace(partition=SimpleNamespace(place=place)) for place in places]


def test_each_traced_record_of_what_was_decided_is_a_span(told: list[Any]) -> None:
    some = [taken(HEADERS, (), HEADERS), taken(HEADERS, place="section-commands-4")]
    tell_committed(traced_in(cast("Any", some), decided("section-commands-3")), 0.5)
    assert [(one.name, one.kind) for one in told] == [("decide section-commands", 5)] * 2
    assert dict(told[0].attributes)["messaging.destination.partition.id"] == "3"
    assert told[0].ended_ns - told[0].began_ns == 500_000_000


def test_where_nobody_is_told_no_header_is_looked_at() -> None:
    class Unread:
        headers = property(lambda _: pytest.fail("looked at"))

    assert (
        traced_in(cast("Any", [(SimpleNamespace(place="a-1"), [Unread()])]), decided("a-1")) == ()
    )
