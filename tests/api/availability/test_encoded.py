import gc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.look_ups import LookUpPod
from support.records.event_values import event
from support.records.status_records import EVENT, Fed, counts, snapshot_of

from api.availability.encoded import Answered, Encoded, LookUps
from state.domain.event import Event, SectionDescription
from state.views.availability.snapshot import EventSnapshot

PATH = f"/v1/events/{EVENT}/availability"


@pytest.fixture
def pod() -> LookUpPod:
    """Give a pod that knows sections A and B of event 7, just read to the end."""
    pod = LookUpPod()
    pod.fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=5_000))
    pod.fed.tell(counts(1, 5, as_of_ms=4_000), "B")
    pod.fed.heartbeat()
    return pod


def test_another_content_has_another_tag(pod: LookUpPod) -> None:
    header = {"If-None-Match": pod.ask().headers["etag"]}
    pod.fed.tell(counts(4, 9, held=3, largest=4))
    answer = pod.ask(PATH, header)
    assert answer.status == 200
    assert answer.json["sections"][0]["free"] == 9


def test_a_refused_command_moves_the_time_and_not_the_tag(pod: LookUpPod) -> None:
    first = pod.ask()
    pod.fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=9_000))
    again = pod.ask(PATH, {"If-None-Match": first.headers["etag"]})
    assert again.status == 304
    assert again.headers["seatstream-as-of-ms"] == "9000"


def test_two_pods_give_the_same_tag_for_the_same_content() -> None:
    tags = set()
    for order in ("AB", "BA"):
        pod = LookUpPod()
        for section in order:
            pod.fed.tell(counts(2, 5), section)
        pod.fed.heartbeat()
        tags.add(pod.ask().headers["etag"])
    assert len(tags) == 1


def test_kept_answers_of_one_event_are_bounded() -> None:
    pod = LookUpPod()
    for number in range(100):
        pod.fed.tell(counts(1, 5), f"S{number}")
    pod.fed.heartbeat()
    for number in range(100):
        assert pod.ask(f"{PATH}?sections=S{number}").json["sections"][0]["section"] == f"S{number}"
    snapshot = pod.fed.view.snapshot(EVENT)
    assert snapshot is not None
    assert len(snapshot.derived) == 64


def test_what_is_replaced_is_freed_without_the_garbage_collector() -> None:
    pod = LookUpPod()
    for name in ("A", "B"):
        pod.fed.tell(counts(1, 5), name)
    pod.fed.heartbeat()

    def snapshots() -> int:
        return sum(isinstance(one, EventSnapshot) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        had = snapshots()
        for version in range(2, 40):
            pod.fed.tell(counts(version, 5), "A")
            assert pod.ask().json["sections"][0]["version"] == version
            if version % 3:
                # One question that is asked after some changes, and not after others.
                assert pod.ask(f"{PATH}?sections=A").status == 200
        assert snapshots() - had <= 3
    finally:
        gc.enable()


small = st.integers(0, 3)
told_of = st.dictionaries(st.sampled_from("ABCD"), st.tuples(small, small, small), max_size=4)
describing = st.none() | st.dictionaries(st.sampled_from("ABCD"), st.integers(1, 9), min_size=1)


def described(capacities: dict[str, int] | None) -> Event | None:
    if capacities is None:
        return None
    sections = [SectionDescription(name, name, count, 1, ()) for name, count in capacities.items()]
    return event(EVENT, sections=tuple(sections))


@given(told_of, told_of, describing, describing)
def test_what_is_taken_over_from_a_former_answer_is_what_would_be_made_anew(
    before: dict[str, tuple[int, int, int]],
    later: dict[str, tuple[int, int, int]],
    knew: dict[str, int] | None,
    knows: dict[str, int] | None,
) -> None:
    fed = Fed()
    fed.tell(counts(1, 1), "Z")
    for name, (free, held, as_of_ms) in before.items():
        fed.tell(counts(1, free, held=held, as_of_ms=as_of_ms), name)
    former = Encoded(snapshot_of(fed), described(knew))
    for name, (free, held, as_of_ms) in later.items():
        fed.tell(counts(2, free, held=held, as_of_ms=as_of_ms), name)
    event_now = described(knows)
    anew = Encoded(snapshot_of(fed), event_now)
    taken_over = Encoded(snapshot_of(fed), event_now, (), former)
    assert taken_over.body(5, 50, stale=False) == anew.body(5, 50, stale=False)
    assert taken_over.etag == anew.etag
    said = orjson.loads(anew.body(5, 50, stale=False))
    assert [one["section"] for one in said["sections"]] == sorted({"Z", *before, *later})
    for one in said["sections"]:
        status = fed.view.get(EVENT, one["section"])
        assert status is not None
        told = (one["free"], one["held"], one["largest_block"], one["version"], one["as_of_ms"])
        assert told == status[:5]
        assert one.get("capacity") == (knows or {}).get(one["section"])


def test_an_answer_by_hand() -> None:
    fed = Fed()
    fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=5_000))
    encoded = Encoded(snapshot_of(fed), event(EVENT), ("X", "Y"))
    assert encoded.body(700, 5_000, stale=False) == (
        b'{"event_id":7,"as_of_ms":5000,"staleness_ms":700,"bound_ms":5000,"stale":false,'
        b'"sections":[{"section":"A","free":10,"held":2,"largest_block":4,"version":3,'
        b'"capacity":100,"as_of_ms":5000}],"unknown_sections":["X","Y"]}'
    )
    assert encoded.as_of == (b"seatstream-as-of-ms", b"5000")


def test_of_no_section_an_answer_is_empty_and_of_no_time() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    part = snapshot_of(fed).part(["Q"])
    said = orjson.loads(Encoded(part, None, ("Q",)).body(0, 50, stale=True))
    assert (said["sections"], said["as_of_ms"], said["unknown_sections"]) == ([], 0, ["Q"])


def test_a_tag_is_that_of_the_counts_and_of_what_is_unknown() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    one = Encoded(snapshot_of(fed), None)
    assert Encoded(snapshot_of(fed), None, ("Q",)).etag != one.etag
    assert one.etag_stale != one.etag
    fed.tell(counts(1, 5, as_of_ms=9_000))
    assert Encoded(snapshot_of(fed), None).etag == one.etag
    fed.tell(counts(2, 5))
    assert Encoded(snapshot_of(fed), None).etag != one.etag


@pytest.mark.parametrize("stale", [True, False])
def test_an_answer_without_a_body_tells_its_age_too(stale: bool) -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    encoded = Encoded(snapshot_of(fed), None)
    answered = Answered(encoded, 4_000, 5_000, stale, unsure=False)
    headers = dict(answered.headers())
    assert headers[b"seatstream-staleness-ms"] == b"4000"
    assert headers[b"seatstream-stale"] == (b"true" if stale else b"false")
    assert headers[b"etag"] == (encoded.etag_stale if stale else encoded.etag)[1]
    assert orjson.loads(answered.body())["stale"] == stale


def test_one_answer_serves_all_who_ask_until_a_section_of_it_changes(pod: LookUpPod) -> None:
    look_ups = LookUps(pod.pod)
    first = look_ups.now(EVENT, ("A",))
    assert first is not None
    again = look_ups.now(EVENT, ("A",))
    assert again is not None
    assert again[0] is first[0]
    pod.fed.tell(counts(2, 4), "B")
    unchanged = look_ups.now(EVENT, ("A",))
    assert unchanged is not None
    assert unchanged[0].pieces["A"] is first[0].pieces["A"]
    assert look_ups.now(99) is None
