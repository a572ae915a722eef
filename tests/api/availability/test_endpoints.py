import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pages.tokens import NOW_S, bearer
from support.pods.asgi_client import Answer, request, scope_of
from support.pods.look_ups import TOKEN, LookUpPod
from support.records.event_values import event
from support.records.status_records import EVENT, Fed, counts, partition_of_section

from api.availability.endpoints import QuickLookUps
from schemas.topics import EVENTS
from serdes.decoding import TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.keys import section_key
from state.records.event import EventEncoder, event_key
from state.views.availability.contents import RECENT_MAX
from state.views.events.catalogue import Events

PATH = f"/v1/events/{EVENT}/availability"


@pytest.fixture
def pod() -> LookUpPod:
    """Give a pod that knows sections A and B of event 7, just read to the end."""
    pod = LookUpPod()
    pod.fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=5_000))
    pod.fed.tell(counts(1, 5, as_of_ms=4_000), "B")
    pod.fed.heartbeat()
    return pod


def remove(fed: Fed, section: str) -> None:
    fed.feed(partition_of_section(section), section_key(EVENT, section), None)


def problem(answer: Answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status, answer.json["reason"]


# --- properties ------------------------------------------------------------------------------

happenings = st.lists(
    st.tuples(
        st.sampled_from(["tell", "refuse", "spoil", "remove", "heartbeat", "time"]),
        st.sampled_from("ABC"),
        st.integers(1, 5),
    ),
    max_size=30,
)


def happen(fed: Fed, what: str, section: str, number: int) -> None:
    """Let one of the `happenings` happen to a view."""
    fed.now_ms += 1
    match what:
        case "tell":
            fed.tell(counts(number, number), section)
        case "refuse":
            fed.tell(counts(number, number, as_of_ms=1_000 + number), section)
        case "spoil":
            fed.spoil(section)
        case "remove":
            remove(fed, section)
        case "heartbeat":
            fed.heartbeat()
        case "time":
            fed.now_ms += 1_500 * number


@given(happenings)
def test_an_answer_is_what_the_view_knows_at_that_moment(
    told: Sequence[tuple[str, str, int]],
) -> None:
    """Whatever was answered, kept and tagged before; by the quick way and by the long one."""
    pod = LookUpPod()
    fed = pod.fed
    fed.answers = True
    fed.heartbeat()
    content_by_tag: dict[str, Any] = {}
    for what, section, number in told:
        happen(fed, what, section, number)
        known = fed.view.sections(EVENT)
        quick, long = pod.ask(PATH), pod.ask(f"{PATH}?max_staleness_ms=9999999&on_stale=serve")
        if not known:
            # What nobody can read may be one of its sections.
            is_sure = not fed.contents.is_unreadable(EVENT)
            expected = (404, "NOT_FOUND") if is_sure else (503, "NOT_READY")
            assert problem(quick) == problem(long) == expected
            continue
        assert quick.body == long.body
        age_ms = max(answer.staleness_ms for answer in known.values())
        sections = [
            {
                "section": name,
                "free": answer.free,
                "held": answer.held,
                "largest_block": answer.largest_block,
                "version": answer.version,
                "as_of_ms": answer.as_of_ms,
            }
            for name, answer in sorted(known.items())
        ]
        assert quick.json == {
            "event_id": EVENT,
            "as_of_ms": max(answer.as_of_ms for answer in known.values()),
            "staleness_ms": age_ms,
            "bound_ms": 5_000,
            "stale": age_ms > 5_000,
            "sections": sections,
        }
        content = ([{**s, "as_of_ms": 0} for s in sections], age_ms > 5_000)
        tag = quick.headers["etag"]
        assert long.headers["etag"] == tag
        # One tag, one content; and one content has one tag: see the next claim.
        assert content_by_tag.setdefault(tag, content) == content
    assert len({orjson.dumps(content) for content in content_by_tag.values()}) == len(
        content_by_tag
    )


@given(st.binary(max_size=60) | st.text("sectionABC,=&%-0123456789_maxervw", max_size=60))
def test_no_query_ends_in_an_error_of_ours(query: bytes | str) -> None:
    pod = LookUpPod()
    pod.fed.tell(counts(1, 5))
    pod.fed.heartbeat()
    text = query.decode("latin-1") if isinstance(query, bytes) else query
    target = PATH + "?" + text.replace("?", "")
    answer = pod.ask(target.replace("wait_ms=", "wait="))
    assert answer.status in {200, 400, 404, 409}


@given(st.text(max_size=30))
def test_b34_no_text_in_the_path_ends_in_an_error_of_ours(text: str) -> None:
    pod = LookUpPod()
    pod.fed.heartbeat()
    for target in (
        f"/v1/events/{text}/availability",
        f"{PATH[:-13]}/sections/{text}/availability",
    ):
        answer = pod.ask(target.replace("?", ""))
        assert answer.status in {400, 404, 405}


# --- what is answered ------------------------------------------------------------------------


def test_the_age_is_in_the_headers_too(pod: LookUpPod) -> None:
    pod.fed.now_ms += 70
    answer = pod.ask()
    assert answer.headers["seatstream-staleness-ms"] == "70"
    assert answer.headers["seatstream-stale"] == "false"
    assert answer.headers["seatstream-as-of-ms"] == "5000"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["content-type"] == "application/json"


def test_named_sections_are_answered_alone_with_their_own_age(pod: LookUpPod) -> None:
    pod.fed.spoil("B")
    pod.fed.now_ms += 6_000
    pod.fed.heartbeat()
    whole, alone = pod.ask(PATH).json, pod.ask(f"{PATH}?sections=A").json
    assert (whole["staleness_ms"], whole["stale"]) == (6_000, True)
    assert (alone["staleness_ms"], alone["stale"]) == (0, False)
    assert [section["section"] for section in alone["sections"]] == ["A"]


def test_a_section_has_a_path_of_its_own(pod: LookUpPod) -> None:
    by_path = pod.ask(f"/v1/events/{EVENT}/sections/A/availability")
    by_query = pod.ask(f"{PATH}?sections=A")
    assert by_path.body == by_query.body
    assert by_path.headers["etag"] == by_query.headers["etag"]
    assert problem(pod.ask(f"/v1/events/{EVENT}/sections/Z/availability")) == (
        404,
        "UNKNOWN_SECTION",
    )
    twice = pod.ask(f"/v1/events/{EVENT}/sections/A/availability?sections=B")
    assert problem(twice) == (400, "MALFORMED")


def test_unknown_sections_are_named_beside_the_known_ones(pod: LookUpPod) -> None:
    answer = pod.ask(f"{PATH}?sections=Z,A,Y").json
    assert [section["section"] for section in answer["sections"]] == ["A"]
    assert answer["unknown_sections"] == ["Z", "Y"]
    assert problem(pod.ask(f"{PATH}?sections=Z,Y")) == (404, "UNKNOWN_SECTION")


def test_a_capacity_is_told_where_the_catalogue_knows_it() -> None:
    catalogue = Events(TopicDecoder(EVENTS, counted_ids()))
    reading = catalogue.new_reading(1)
    catalogue.publish(reading)
    pod = LookUpPod(catalogue)
    pod.fed.tell(counts(1, 5))
    pod.fed.tell(counts(1, 5), "B")
    pod.fed.heartbeat()
    before = pod.ask()
    assert "capacity" not in before.json["sections"][0]
    reading.apply(event_key(EVENT), EventEncoder(counted_ids())(event(EVENT)))
    after = pod.ask()
    assert [section.get("capacity") for section in after.json["sections"]] == [100, None]
    assert before.headers["etag"] != after.headers["etag"]


def test_an_unknown_event_is_404_once_the_view_is_ready_and_503_before() -> None:
    pod = LookUpPod()
    cold = pod.ask("/v1/events/99/availability")
    assert problem(cold) == (503, "NOT_READY")
    assert int(cold.headers["retry-after"]) >= 1
    pod.fed.heartbeat()
    unknown = pod.ask("/v1/events/99/availability")
    assert problem(unknown) == (404, "NOT_FOUND")
    assert unknown.json["staleness_ms"] == 0


@pytest.mark.parametrize(
    "target",
    [
        "/v1/events/99/availability",
        "/v1/events/99/availability?sections=A",
        "/v1/events/99/sections/A/availability",
    ],
)
def test_s8_a_pod_that_lags_denies_no_event_that_is_there(pod: LookUpPod, target: str) -> None:
    """Whatever the age: only what was asked of the brokers after the request came tells."""
    fed = pod.fed
    fed.now_ms += 300

    def arrives() -> None:
        fed.tell(counts(1, 5), event=99)
        fed.now_ms += 20
        fed.heartbeat()

    answer = pod.ask_while(target, arrives)
    assert answer.status == 200
    assert [section["free"] for section in answer.json["sections"]] == [5]


def test_s8_a_pod_that_lags_calls_no_section_unknown_that_is_there(pod: LookUpPod) -> None:
    fed = pod.fed
    fed.now_ms += 300

    def arrives() -> None:
        fed.tell(counts(1, 5), "Z")
        fed.now_ms += 20
        fed.heartbeat()

    answer = pod.ask_while(f"{PATH}?sections=A,Z", arrives).json
    assert [section["section"] for section in answer["sections"]] == ["A", "Z"]
    assert "unknown_sections" not in answer


def test_s8_while_brokers_do_not_tell_nothing_is_denied(pod: LookUpPod) -> None:
    pod.fed.now_ms += 300
    for target in ("/v1/events/99/availability", f"{PATH}?sections=Z"):
        answer = pod.ask(target)
        assert problem(answer) == (503, "NOT_READY")
        assert answer.json["staleness_ms"] == 300
        assert int(answer.headers["retry-after"]) >= 1
    # Beside counts the answer has the age of that knowledge, and is not to be relied upon.
    beside = pod.ask(f"{PATH}?sections=A,Z")
    assert beside.json["unknown_sections"] == ["Z"]
    assert (beside.json["staleness_ms"], beside.json["stale"]) == (300, True)
    batch = pod.ask(
        "/v1/availability:batchGet", method="POST", json={"requests": [{"event_id": 99}]}
    )
    assert problem(batch) == (503, "NOT_READY")


def test_s8_what_is_there_asks_the_brokers_nothing_and_what_is_not_once_for_all(
    pod: LookUpPod,
) -> None:
    fed = pod.fed
    fed.answers = True
    fed.now_ms += 300
    for target in (PATH, f"{PATH}?sections=A,B", f"/v1/events/{EVENT}/sections/A/availability"):
        assert pod.ask(target).status == 200
    assert fed.asked == 0
    asked = {"requests": [{"event_id": number} for number in range(100, 200)]}
    answer = pod.ask("/v1/availability:batchGet", method="POST", json=asked)
    assert answer.json["unknown_events"] == list(range(100, 200))
    assert fed.asked == 1


def test_a_section_of_which_nobody_can_read_the_only_record_is_not_denied(pod: LookUpPod) -> None:
    fed = pod.fed
    fed.answers = True
    fed.spoil("Z")
    fed.now_ms += 300
    fed.heartbeat()
    assert problem(pod.ask(f"{PATH}?sections=Z")) == (503, "NOT_READY")
    assert problem(pod.ask(f"{PATH}?sections=Y")) == (404, "UNKNOWN_SECTION")
    remove(fed, "Z")
    assert problem(pod.ask(f"{PATH}?sections=Z")) == (404, "UNKNOWN_SECTION")
    fed.spoil("Z")
    fed.tell(counts(1, 5), "Z")
    assert pod.ask(f"{PATH}?sections=Z").status == 200


def test_b66_without_a_valid_token_nothing_is_told(pod: LookUpPod) -> None:
    expired = bearer(exp=NOW_S - 60)
    for header in ({"Authorization": ""}, {"Authorization": "Bearer x"}, expired):
        answer = pod.ask(PATH, header)
        assert problem(answer) == (401, "UNAUTHENTICATED")
        assert "www-authenticate" in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "sections=",
        "sections=a",
        "sections=A,,B",
        "sections=A&sections=B",
        "sections=%EF%BC%A1",
        "sections=A%00",
        "sections=" + ",".join(f"S{n}" for n in range(101)),
        "section=A",
        "max_staleness_ms=-1",
        "max_staleness_ms=1e3",
        "max_staleness_ms=86400001",
        "max_staleness_ms=%D9%A1",
        "min_version=1",
        "sections=A,B&min_version=1",
        "sections=A&min_version=9223372036854775808",
        "consistency_token=7-A",
        "consistency_token=8-A:1",
        "consistency_token=7-A:1:",
        "consistency_token=7-A:1:01",
        "consistency_token=7-A:1:9223372036854775808",
        "consistency_token=7-A:1:2:3",
        "on_stale=maybe",
        "wait_ms=1.5",
        "A",
        "=",
        "&",
        "sections=%FF",
    ],
)
def test_b54_a_question_that_is_none_is_400_and_is_not_repeated(
    pod: LookUpPod, query: str
) -> None:
    answer = pod.ask(f"{PATH}?{query}")
    assert problem(answer) == (400, "MALFORMED")
    assert answer.json["errors"][0]["where"].startswith("query")


@pytest.mark.parametrize(
    "event", ["x", "-1", "01", "1.0", "٣", "9223372036854775808", "1" * 40, "", "1%20"]
)
def test_b54_an_event_id_that_is_none_is_400(pod: LookUpPod, event: str) -> None:
    assert problem(pod.ask(f"/v1/events/{event}/availability")) == (400, "MALFORMED")


def test_the_largest_event_id_is_one() -> None:
    pod = LookUpPod()
    pod.fed.tell(counts(1, 5), event=2**63 - 1)
    pod.fed.heartbeat()
    assert pod.ask(f"/v1/events/{2**63 - 1}/availability").json["event_id"] == 2**63 - 1


# --- tokens of another history ---------------------------------------------------------------


def test_s3_a_token_of_what_a_restore_took_away_is_told_and_not_waited_for(pod: LookUpPod) -> None:
    # A is at version 3 as of 5,000: nobody had seen version 9 at 4,999 in this log.
    token = f"{EVENT}-A:9:4999"
    answer = pod.ask(f"{PATH}?consistency_token={token}&wait_ms=60000")
    assert problem(answer) == (409, "ANOTHER_LOG")
    assert answer.json["sections"] == ["A"]
    served = pod.ask(f"{PATH}?consistency_token={token}&on_stale=serve&wait_ms=60000")
    assert (served.status, served.json["stale"]) == (200, True)
    item = {"event_id": EVENT, "consistency_tokens": [token]}
    batch = pod.ask("/v1/availability:batchGet", method="POST", json={"requests": [item]})
    assert problem(batch) == (409, "ANOTHER_LOG")


def test_s3_a_token_of_another_history_is_told_while_a_status_between_is_remembered(
    pod: LookUpPod,
) -> None:
    token = f"{PATH}?consistency_token={EVENT}-A:9:4999"
    pod.fed.tell(counts(12, 4, as_of_ms=9_000))
    assert problem(pod.ask(token)) == (409, "ANOTHER_LOG")
    for version in range(13, 13 + RECENT_MAX):
        pod.fed.tell(counts(version, 4, as_of_ms=9_000))
    # As the manual says: nothing that is read names the history of a version.
    assert pod.ask(token).status == 200


@pytest.mark.parametrize("token", ["A:3:5000", "A:3:4000", "A:3", "B:1:4000", "A:2:999999"])
def test_s3_tokens_of_this_history_and_of_pods_from_before_are_met(
    pod: LookUpPod, token: str
) -> None:
    assert pod.ask(f"{PATH}?consistency_token={EVENT}-{token}").status == 200


@pytest.mark.parametrize("token", ["A:9", "A:9:5000", "A:9:99999"])
def test_s3_a_version_that_may_still_come_is_waited_for(pod: LookUpPod, token: str) -> None:
    answer = pod.ask(f"{PATH}?consistency_token={EVENT}-{token}&wait_ms=0")
    assert problem(answer) == (409, "NOT_YET")


# --- entity tags -----------------------------------------------------------------------------


def test_what_did_not_change_costs_no_body_and_brings_its_age(pod: LookUpPod) -> None:
    first = pod.ask()
    pod.fed.now_ms += 40
    again = pod.ask(PATH, {"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["seatstream-staleness-ms"] == "40"
    assert again.headers["cache-control"] == first.headers["cache-control"]


@pytest.mark.parametrize("form", ["{}", 'W/{}, "x"', '"x", {}', "*", " {} "])
def test_every_form_of_if_none_match_is_understood(pod: LookUpPod, form: str) -> None:
    header = {"If-None-Match": form.format(pod.ask().headers["etag"])}
    assert pod.ask(PATH, header).status == 304
    assert pod.ask(f"{PATH}?wait_ms=0", header).status == 304


def test_a_304_never_hides_that_the_answer_became_stale(pod: LookUpPod) -> None:
    fresh = pod.ask().headers["etag"]
    pod.fed.now_ms += 5_001
    stale = pod.ask(PATH, {"If-None-Match": fresh})
    assert (stale.status, stale.json["stale"]) == (200, True)
    still = pod.ask(PATH, {"If-None-Match": stale.headers["etag"]})
    assert (still.status, still.headers["seatstream-stale"]) == (304, "true")
    pod.fed.heartbeat()
    assert pod.ask(PATH, {"If-None-Match": stale.headers["etag"]}).status == 200


# --- demands ---------------------------------------------------------------------------------


def test_u3_an_age_that_is_not_reached_is_409_or_a_stale_answer_by_choice(
    pod: LookUpPod,
) -> None:
    pod.fed.now_ms += 50
    refused = pod.ask(f"{PATH}?max_staleness_ms=49&wait_ms=0")
    assert problem(refused) == (409, "STALE")
    assert int(refused.headers["retry-after"]) >= 1
    assert (refused.json["staleness_ms"], refused.json["bound_ms"]) == (50, 49)
    served = pod.ask(f"{PATH}?max_staleness_ms=49&wait_ms=0&on_stale=serve").json
    assert (served["staleness_ms"], served["bound_ms"], served["stale"]) == (50, 49, True)
    assert pod.ask(f"{PATH}?max_staleness_ms=50&wait_ms=0").json["stale"] is False


def test_refuse_alone_demands_the_age_that_is_called_stale(pod: LookUpPod) -> None:
    pod.fed.now_ms += 5_000
    assert pod.ask(f"{PATH}?on_stale=refuse&wait_ms=0").status == 200
    pod.fed.now_ms += 1
    assert problem(pod.ask(f"{PATH}?on_stale=refuse&wait_ms=0")) == (409, "STALE")
    assert pod.ask(PATH).json["stale"] is True


@pytest.mark.parametrize("demand", ["sections=A&min_version=4", "consistency_token=7-A:4"])
def test_u3_a_version_that_does_not_come_is_409_or_a_stale_answer_by_choice(
    pod: LookUpPod, demand: str
) -> None:
    refused = pod.ask(f"{PATH}?{demand}&wait_ms=0")
    assert problem(refused) == (409, "NOT_YET")
    assert refused.json["sections"] == ["A"]
    served = pod.ask(f"{PATH}?{demand}&wait_ms=0&on_stale=serve").json
    assert served["stale"] is True
    assert served["sections"][0]["version"] == 3
    assert pod.ask(f"{PATH}?{demand.replace('4', '3')}&wait_ms=0").json["stale"] is False


def test_u3_a_reader_waits_for_what_it_wrote(pod: LookUpPod) -> None:
    answer = pod.ask_while(
        f"{PATH}?consistency_token=7-A:4,7-B:1",
        lambda: pod.fed.tell(counts(4, 9)),
    )
    assert answer.json["sections"][0]["version"] == 4
    assert len(pod.fed.view._waiters) == 0


def test_u3_a_section_may_be_waited_for_before_it_exists(pod: LookUpPod) -> None:
    target = "/v1/events/9/availability?sections=N&min_version=1"
    answer = pod.ask_while(target, lambda: pod.fed.tell(counts(1, 9), "N", 9))
    assert answer.json["sections"][0]["free"] == 9
    assert problem(pod.ask("/v1/events/9/availability?sections=M&min_version=1&wait_ms=0")) == (
        409,
        "NOT_YET",
    )


def test_an_age_is_waited_for_until_the_next_heartbeat(pod: LookUpPod) -> None:
    pod.fed.now_ms += 400
    answer = pod.ask_while(f"{PATH}?max_staleness_ms=100", pod.fed.heartbeat)
    assert (answer.json["staleness_ms"], answer.json["stale"]) == (0, False)


def test_a_wait_is_never_longer_than_the_pod_allows() -> None:
    pod = LookUpPod(wait_max_ms=20)
    pod.fed.tell(counts(1, 5))
    pod.fed.heartbeat()
    assert problem(pod.ask(f"{PATH}?sections=A&min_version=9&wait_ms=86400000")) == (
        409,
        "NOT_YET",
    )


def test_f09_so_many_may_wait_and_the_next_one_is_turned_away() -> None:
    pod = LookUpPod(in_flight_max=2)
    pod.fed.tell(counts(1, 5))
    pod.fed.heartbeat()

    async def scenario() -> list[int]:
        target = f"{PATH}?sections=A&min_version=2"
        asked = [asyncio.create_task(request(pod.app, target, headers=TOKEN)) for _ in range(3)]
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        pod.fed.tell(counts(2, 4))
        answers = [*done, *(await asyncio.wait(waiting))[0]]
        return [task.result().status for task in answers]

    assert asyncio.run(scenario()) == [429, 200, 200]
    assert len(pod.fed.view._waiters) == 0


def test_f81_a_pod_that_was_paused_answers_stale_at_once(pod: LookUpPod) -> None:
    assert pod.ask().json["stale"] is False
    pod.fed.now_ms += 5_001
    answer = pod.ask()
    assert (answer.status, answer.json["stale"]) == (200, True)
    assert answer.headers["seatstream-stale"] == "true"


# --- many events -----------------------------------------------------------------------------

BATCH = "/v1/availability:batchGet"


def batch(pod: LookUpPod, requests: Any, **more: Any) -> Answer:
    return pod.ask(BATCH, method="POST", json={"requests": requests, **more})


def test_a_batch_answers_each_event_as_a_look_up_does(pod: LookUpPod) -> None:
    pod.fed.tell(counts(1, 6), "C", event=8)
    asked = [{"event_id": 8}, {"event_id": 99}, {"event_id": EVENT, "sections": ["B"]}]
    answer = batch(pod, asked).json
    alone = [pod.ask("/v1/events/8/availability").json, pod.ask(f"{PATH}?sections=B").json]
    assert answer == {
        "staleness_ms": 0,
        "bound_ms": 5_000,
        "stale": False,
        "events": alone,
        "unknown_events": [99],
    }


def test_a_batch_makes_the_same_demands_of_every_event(pod: LookUpPod) -> None:
    pod.fed.now_ms += 50
    asked = [{"event_id": EVENT, "consistency_tokens": ["7-A:9"]}]
    assert problem(batch(pod, asked, wait_ms=0)) == (409, "NOT_YET")
    late = batch(pod, [{"event_id": EVENT}], max_staleness_ms=10, wait_ms=0)
    assert problem(late) == (409, "STALE")
    served = batch(pod, asked, wait_ms=0, on_stale="serve").json
    assert (served["stale"], served["events"][0]["stale"]) == (True, True)


@pytest.mark.parametrize(
    "asked",
    [
        [],
        [{"event_id": 7}] * 101,
        [{"event_id": -1}],
        [{"event_id": "7"}],
        [{"event_id": 7, "sections": ["a"]}],
        [{"event_id": 7, "sections": ["A\n"]}],
        [{"event_id": 7, "sections": ["A"] * 101}],
        [{"event_id": 7, "consistency_tokens": ["7-A"]}],
        [{"event_id": 7, "price": 3}],
    ],
)
def test_b57_a_batch_that_is_none_is_400(pod: LookUpPod, asked: Any) -> None:
    assert problem(batch(pod, asked)) == (400, "MALFORMED")


def test_the_answer_of_a_batch_is_bounded() -> None:
    pod = LookUpPod()
    for number in range(300):
        pod.fed.tell(counts(1, 5), f"S{number}")
    pod.fed.heartbeat()
    assert batch(pod, [{"event_id": EVENT}] * 16).status == 200
    assert problem(batch(pod, [{"event_id": EVENT}] * 17)) == (400, "MALFORMED")


# --- how it is done --------------------------------------------------------------------------


def test_the_quick_way_takes_what_it_may_and_nothing_else(pod: LookUpPod) -> None:
    quick = QuickLookUps.of(pod.pod, ())
    assert quick is not None

    def takes(target: str, headers: dict[str, str], method: str = "GET") -> bool:
        return quick.answer(scope_of(method, target, headers)) is not None

    assert not takes(PATH, TOKEN), "nobody has verified the token yet"
    assert pod.ask(PATH).status == 200
    assert takes(PATH, TOKEN)
    assert takes(f"{PATH}?sections=A,B", TOKEN)
    assert takes(PATH, {**TOKEN, "If-None-Match": "*"})
    assert not takes(PATH, {})
    assert not takes(PATH, TOKEN, "POST")
    assert not takes("/v1/events/99/availability", TOKEN)
    assert not takes(f"{PATH}?sections=Z", TOKEN)
    assert not takes(f"{PATH}?max_staleness_ms=9", TOKEN)
    assert not takes(f"{PATH}/stream", TOKEN)


def test_look_ups_are_counted(pod: LookUpPod) -> None:
    tag = pod.ask().headers["etag"]
    pod.ask(PATH, {"If-None-Match": tag})
    pod.ask(f"{PATH}?sections=B")
    page = pod.pod.metrics.exposition().decode()
    assert 'seatstream_api_requests_total{route="availability",status="200"} 2.0' in page
    assert 'seatstream_api_requests_total{route="availability",status="304"} 1.0' in page
    assert "seatstream_view_lookups_total 3.0" in page


def test_every_answer_carries_the_callers_correlation_id_or_a_new_one(pod: LookUpPod) -> None:
    assert pod.ask(PATH, {"X-Correlation-Id": "abc.1"}).headers["x-correlation-id"] == "abc.1"
    bad = pod.ask(PATH, {"X-Correlation-Id": "a b"}).headers["x-correlation-id"]
    ids = {pod.ask().headers["x-correlation-id"] for _ in range(3)} | {bad}
    assert len(ids) == 4
    assert pod.ask().headers["x-content-type-options"] == "nosniff"
