from sys import getsizeof
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.availability.questions import (
    SECTIONS_MAX,
    STALENESS_MS_MAX,
    Question,
    asked_for,
    event_id_in,
    question_in,
)
from api.web.consistency_tokens import Token
from api.web.problems import Problem
from state.domain.reasons import ApiReason

names = st.from_regex(r"[A-Z0-9-]{1,32}", fullmatch=True)
tokens = st.builds(
    Token,
    st.integers(0, 2**63 - 1),
    names,
    st.integers(0, 2**63 - 1),
    st.none() | st.integers(0, 2**63 - 1),
)
ages = st.none() | st.integers(0, STALENESS_MS_MAX)
asked = st.builds(
    Question,
    st.lists(names, max_size=5, unique=True).map(tuple),
    ages,
    st.integers(0, 2**63 - 1),
    st.lists(tokens, max_size=3).map(tuple),
    ages,
    st.none() | st.booleans(),
)


def query_of(question: Question) -> bytes:
    """Write a question as a client does."""
    said: dict[str, object] = {
        "sections": ",".join(question.sections) or None,
        "max_staleness_ms": question.max_staleness_ms,
        "min_version": question.min_version or None,
        "consistency_token": ",".join(
            f"{one.event_id}-{one.section}:{one.version}"
            + ("" if one.decided_at_ms is None else f":{one.decided_at_ms}")
            for one in question.tokens
        )
        or None,
        "wait_ms": question.wait_ms,
        "on_stale": {None: None, True: "refuse", False: "serve"}[question.refuses],
    }
    return urlencode({name: value for name, value in said.items() if value is not None}).encode()


def refusal(query: bytes) -> str:
    """Return where a question is wrong."""
    with pytest.raises(Problem) as refused:
        question_in(query)
    assert (refused.value.status, refused.value.reason) == (400, ApiReason.MALFORMED)
    [error] = refused.value.extensions["errors"]
    return str(error["where"])


@given(asked)
def test_a_question_is_read_as_it_was_asked(question: Question) -> None:
    assert question_in(query_of(question)) == question


@given(st.binary(max_size=60) | st.text("sectionABC,=&%-0123456789_maxervw+;", max_size=60))
def test_no_bytes_are_anything_but_a_question_or_refused(query: bytes | str) -> None:
    text = query.encode() if isinstance(query, str) else query
    try:
        question_in(text)
    except Problem as problem:
        refused = problem
    else:
        return
    assert refused.status == 400


@given(asked, st.integers(0, 2**63 - 1))
def test_each_section_must_have_reached_the_highest_version_that_was_told_of_it(
    question: Question, event_id: int
) -> None:
    is_of_event = all(token.event_id == event_id for token in question.tokens)
    if not is_of_event or (question.min_version and len(question.sections) != 1):
        with pytest.raises(Problem):
            question.min_versions(event_id)
        return
    told = [(token.section, token.version) for token in question.tokens]
    told += [(section, question.min_version) for section in question.sections]
    least = {name: max(version for one, version in told if one == name) for name, _ in told}
    assert question.min_versions(event_id) == {
        name: version for name, version in least.items() if version
    }


@pytest.mark.parametrize(
    ("query", "question"),
    [
        (b"", Question()),
        (b"sections=B,A,B", Question(("B", "A"))),
        (b"sections=A%2CB", Question(("A", "B"))),
        (b"max_staleness_ms=0", Question(max_staleness_ms=0)),
        (b"wait_ms=86400000", Question(wait_ms=86_400_000)),
        (b"sections=A&min_version=7", Question(("A",), min_version=7)),
        (b"consistency_token=7-A:3", Question(tokens=(Token(7, "A", 3),))),
        (
            b"consistency_token=7-A:3:9,7-B:0",
            Question(tokens=(Token(7, "A", 3, 9), Token(7, "B", 0))),
        ),
        (b"consistency_token=", Question()),
        (b"on_stale=refuse", Question(refuses=True)),
        (b"on_stale=serve", Question(refuses=False)),
    ],
)
def test_what_a_query_asks(query: bytes, question: Question) -> None:
    assert question_in(query) == question


@pytest.mark.parametrize(
    ("query", "where"),
    [
        (b"sections=", "query.sections"),
        (b"sections=a", "query.sections"),
        (b"sections=A,,B", "query.sections"),
        (b"sections=A%0A", "query.sections"),
        (b"sections=A%00", "query.sections"),
        (b"sections=%EF%BC%A1", "query.sections"),
        (b"sections=" + b",".join(b"S%d" % n for n in range(101)), "query.sections"),
        (b"sections=A&sections=B", "query"),
        (b"sections=%FF", "query"),
        (b"sections=\xff", "query"),
        (b"section=A", "query"),
        (b"max_staleness_ms=-1", "query.max_staleness_ms"),
        (b"max_staleness_ms=1e3", "query.max_staleness_ms"),
        (b"max_staleness_ms=86400001", "query.max_staleness_ms"),
        (b"max_staleness_ms=%D9%A1", "query.max_staleness_ms"),
        (b"max_staleness_ms=", "query.max_staleness_ms"),
        (b"sections=A&min_version=9223372036854775808", "query.min_version"),
        (b"min_version=+1", "query.min_version"),
        (b"wait_ms=1.5", "query.wait_ms"),
        (b"on_stale=maybe", "query.on_stale"),
        (b"on_stale=", "query.on_stale"),
        (b"consistency_token=7-A", "query.consistency_token"),
        (b"consistency_token=7-A:1:01", "query.consistency_token"),
        (b"consistency_token=" + b",".join([b"7-A:1"] * 101), "query.consistency_token"),
        (b"A", "query"),
        (b"=", "query"),
        (b"&", "query"),
        (b"&".join(b"a%d=1" % n for n in range(9)), "query"),
    ],
)
def test_b54_a_query_that_asks_nothing_is_refused_where_it_is_wrong(
    query: bytes, where: str
) -> None:
    assert refusal(query) == where


@pytest.mark.parametrize(
    ("question", "is_plain"),
    [
        (Question(), True),
        (Question(("A",), wait_ms=9), True),
        (Question(refuses=False), True),
        (Question(refuses=True), False),
        (Question(max_staleness_ms=0), False),
        (Question(("A",), min_version=1), False),
        (Question(tokens=(Token(7, "A", 0),), refuses=False), False),
    ],
)
def test_a_question_is_plain_where_any_answer_will_do(question: Question, is_plain: bool) -> None:
    assert question.is_plain == is_plain


def test_a_question_about_one_section_demands_the_same() -> None:
    question = Question(("A", "B"), max_staleness_ms=3, refuses=True)
    assert question.about("B") == Question(("B",), max_staleness_ms=3, refuses=True)


@given(st.integers(0, 2**63 - 1), names)
def test_a_path_names_its_event_and_its_section(event_id: int, section: str) -> None:
    assert asked_for(f"/v1/events/{event_id}/availability") == (event_id, "")
    path = f"/v1/events/{event_id}/sections/{section}/availability"
    assert asked_for(path) == (event_id, section)


@pytest.mark.parametrize(
    ("middle", "status"),
    [
        ("", 400),
        ("01", 400),
        ("9223372036854775808", 400),
        ("7/sections/a", 400),
        ("7/sections/", 400),
        ("x/sections/A", 400),
        ("7/sections", 404),
        ("7/sections/A/B", 404),
        ("7/seats/A", 404),
        ("7/", 404),
    ],
)
def test_b34_a_path_that_names_none_is_refused(middle: str, status: int) -> None:
    with pytest.raises(Problem) as refused:
        asked_for(f"/v1/events/{middle}/availability")
    assert refused.value.status == status


@pytest.mark.parametrize(
    "text", ["x", "-1", "01", "1.0", "٣", "9223372036854775808", "1" * 40, ""]
)
def test_b54_an_event_id_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Problem) as refused:
        event_id_in(text)
    assert refused.value.extensions["errors"][0]["where"] == "path.event_id"


def test_a_stranger_cannot_fill_the_memory_with_long_questions() -> None:
    """What is kept of the longest questions that there are fits a small part of a pod's memory."""

    def longest(number: int) -> bytes:
        places = [f"S{number}-{place}" for place in range(SECTIONS_MAX)]
        told = ",".join(f"7-{name}:{at}:17640000000{at}" for at, name in enumerate(places))
        return f"sections={','.join(places)}&consistency_token={told}".encode()

    def weight(value: object) -> int:
        inner = value if isinstance(value, tuple) else ()
        return getsizeof(value) + sum(map(weight, inner))

    query = longest(1_000)
    question = question_in(query)
    kept_max = question_in.cache_info().maxsize
    assert kept_max is not None
    kept = sum(map(weight, (query, question.sections, question.tokens)))
    assert kept * kept_max < 32 << 20
    # As long as they come: else this shows nothing.
    assert kept > 20_000
