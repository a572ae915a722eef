"""Events, generated and by hand."""

from hypothesis import strategies as st

from state.domain.carts.limits import Limits
from state.domain.event import Event, EventStatus, SectionDescription

HOUR_MS = 3_600_000
NOW_MS = 1_764_000_000_000

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40)
times = st.integers(0, 4 * HOUR_MS).map(lambda ms: NOW_MS - 2 * HOUR_MS + ms)
sections = st.builds(
    SectionDescription,
    section=st.text("ABC0-", min_size=1, max_size=4),
    name=names,
    capacity=st.integers(1, 50_000),
    layout_version=st.just(1),
    categories=st.lists(names, max_size=2, unique=True).map(tuple),
    amounts=st.lists(st.integers(0, 10**12), max_size=2).map(tuple),
)
events = st.builds(
    Event,
    event_id=st.integers(0, 2**63 - 1),
    name=names,
    venue=names | st.just(""),
    starts_at_ms=times,
    sale_starts_ms=times | st.just(0),
    sale_ends_ms=times | st.just(0),
    status=st.sampled_from([EventStatus.OPENING, EventStatus.ON_SALE, EventStatus.CLOSED]),
    revision=st.integers(1, 4),
    sections=st.lists(sections, min_size=1, max_size=3).map(tuple),
    opening_digest=st.sampled_from(["a" * 64, "b" * 64]),
    opened_by=st.just("operator-1"),
    changed_at_ms=times,
    currency=st.sampled_from(["", "EUR", "KRW"]),
    limits=st.builds(Limits, st.integers(0, 9), st.integers(0, 9)),
    admission_required=st.booleans(),
)


def event(event_id: int = 7, **changes: object) -> Event:
    """Return an event that is on sale at NOW_MS and begins two hours later."""
    fields: dict[str, object] = {
        "name": "Concert",
        "venue": "Arena",
        "starts_at_ms": NOW_MS + 2 * HOUR_MS,
        "sale_starts_ms": NOW_MS - HOUR_MS,
        "sale_ends_ms": NOW_MS + HOUR_MS,
        "status": EventStatus.ON_SALE,
        "revision": 1,
        "sections": (SectionDescription("A", "Block A", 100, 1, ("gold",)),),
        "opening_digest": "a" * 64,
        "opened_by": "operator-1",
        "changed_at_ms": NOW_MS - HOUR_MS,
    }
    return Event(event_id, **{**fields, **changes})  # type: ignore[arg-type]
