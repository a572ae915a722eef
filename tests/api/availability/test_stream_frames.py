from collections.abc import Mapping

import orjson
from hypothesis import given
from hypothesis import strategies as st
from support.pods.asgi_stream import events_in
from support.records.status_records import EVENT, Fed, counts, snapshot_of

from api.availability import stream_frames as frames
from api.availability.encoded import Encoded, Piece


def test_f6_no_block_of_a_stream_is_without_data() -> None:
    """An empty line ends an event for some clients even where none began."""
    text = frames.RETRY + frames.comment_frame(84) + frames.age_frame(84, 50)
    blocks = (text + frames.comment_frame(90)).split(b"\n\n")
    assert [b"data: " in block for block in blocks] == [True, False]
    # What is left goes before the next event.
    assert blocks[-1] == b": staleness_ms 90\n"


def pieces(free_by_section: Mapping[str, int]) -> dict[str, Piece]:
    """Return sections as a look-up answers them, newly read."""
    fed = Fed()
    for name, free in free_by_section.items():
        fed.tell(counts(1 + free, free, as_of_ms=0), name)
    return Encoded(snapshot_of(fed), None).pieces if free_by_section else {}


free_by_section = st.dictionaries(st.sampled_from("ABCD"), st.integers(0, 2))


@given(free_by_section, free_by_section, st.sets(st.sampled_from("ABCDE")))
def test_what_differs_makes_what_was_told_what_is_now(
    before: dict[str, int], after: dict[str, int], unsure: set[str]
) -> None:
    told, now = pieces(before), pieces(after)
    changed, removed = frames.differences(told, now, unsure)
    names = {name for name, piece in now.items() if piece in changed}
    # Nothing but what differs is told, and what some were told of otherwise.
    assert names == {name for name in after if before.get(name) != after[name] or name in unsure}
    assert set(removed) == ({*before, *unsure} - {*after})
    assert len(removed) == len(set(removed))
    held = {name: piece.content for name, piece in told.items() if name not in removed}
    held |= {name: now[name].content for name in names}
    assert held == {name: piece.content for name, piece in now.items()}


@given(free_by_section, free_by_section)
def test_only_what_is_the_very_same_is_not_unlike(
    before: dict[str, int], after: dict[str, int]
) -> None:
    told, now = pieces(before), pieces(after)
    assert frames.unlike(told, told) == frames.unlike(now, dict(now)) == set()
    assert frames.unlike(told, now) == {*before, *after}
    kept = {name: told[name] for name in told if name == "A"}
    assert frames.unlike(told, {**now, **kept}) == {*before, *after} - {*kept}


@given(free_by_section, st.lists(st.sampled_from(["X", "Y-1"]), unique=True), st.integers(0, 99))
def test_a_delta_is_one_event_that_tells_each_of_its_sections(
    after: dict[str, int], removed: list[str], age_ms: int
) -> None:
    frame = frames.delta_frame(EVENT, pieces(after).values(), removed, "p", 5, age_ms, 50)
    [told] = events_in(frame)
    assert (told.event, told.id) == ("delta", "p")
    assert {one["section"]: one["free"] for one in told.data["sections"]} == after
    assert told.data["removed"] == removed
    assert (told.data["staleness_ms"], told.data["stale"]) == (age_ms, age_ms > 50)


def test_frames_by_hand() -> None:
    [piece] = pieces({"A": 2}).values()
    assert frames.delta_frame(7, [piece], ["B"], "9.9", 1_000, 3, 50) == (
        b"event: delta\nid: 9.9\n"
        b'data: {"event_id":7,"as_of_ms":1000,"staleness_ms":3,"bound_ms":50,"stale":false,'
        b'"sections":[{"section":"A","free":2,"held":0,"largest_block":2,"version":3,"as_of_ms":0}],'
        b'"removed":["B"]}\n\n'
    )
    # Where no section is left there is no position: a client keeps the one that it has.
    assert frames.delta_frame(7, [], ["A"], "", 0, 0, 50).startswith(b"event: delta\ndata: {")
    assert frames.age_frame(51, 50) == (
        b'event: age\ndata: {"staleness_ms":51,"bound_ms":50,"stale":true}\n\n'
    )
    assert frames.reset_frame("behind") == b'event: reset\ndata: {"why":"behind"}\n\n'


def test_a_snapshot_is_what_a_look_up_answers() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    encoded = Encoded(snapshot_of(fed), None)
    [told] = events_in(frames.snapshot_frame(encoded, "1.2", 51, 50))
    assert (told.event, told.id) == ("snapshot", "1.2")
    assert told.data == orjson.loads(encoded.body(51, 50, stale=True))
