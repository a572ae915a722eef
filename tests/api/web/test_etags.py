import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from api.web.etags import etag_of, matches, noted, unless_known

contents = st.binary(max_size=40)
padding = st.sampled_from(["", " ", "\t "])


@given(contents, contents)
def test_a_tag_is_that_of_its_content_and_of_no_other(one: bytes, other: bytes) -> None:
    assert (etag_of(one) == etag_of(other)) == (one == other)
    assert noted(etag_of(one), b"stale") != etag_of(other)
    assert (noted(etag_of(one), b"a") == noted(etag_of(other), b"a")) == (one == other)


@given(st.lists(st.tuples(contents, st.booleans(), padding), max_size=5), contents)
def test_a_list_names_a_tag_exactly_where_it_is_among_them_weak_or_strong(
    listed: list[tuple[bytes, bool, str]], content: bytes
) -> None:
    header = ",".join(
        f"{space}{'W/' if is_weak else ''}{etag_of(one).decode()}{space}"
        for one, is_weak, space in listed
    )
    assert matches(header.encode(), etag_of(content)) == (content in [one for one, *_ in listed])


@given(st.binary(max_size=60))
def test_no_bytes_are_an_error_or_a_tag_that_nobody_has(header: bytes) -> None:
    assert matches(header, etag_of(b"content")) == (header.strip() == b"*")


@pytest.mark.parametrize(
    ("header", "is_named"),
    [
        (b"*", True),
        (b" * ", True),
        (b'"a"', True),
        (b'W/"a"', True),
        (b'"b", W/"a"', True),
        # A comma is a letter of a tag as any other.
        (b'"b,", "a"', True),
        (b'"*"', False),
        (b"a", False),
        (b'w/"b"', False),
        (b'"a-stale"', False),
        (b'"A"', False),
        (b"", False),
    ],
)
def test_what_a_header_names(header: bytes, is_named: bool) -> None:
    assert matches(header, b'"a"') == is_named


def test_a_note_stands_within_the_quotes() -> None:
    assert noted(b'"a"', b"stale") == b'"a-stale"'


def asking(*if_none_match: str) -> Request:
    headers = [(b"if-none-match", one.encode("latin-1")) for one in if_none_match]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


def test_who_has_the_content_gets_its_headers_and_no_body() -> None:
    headers = {"ETag": '"a"', "Cache-Control": "private"}
    answer = unless_known(asking('W/"a"'), b"{}", headers)
    assert (answer.status_code, answer.body) == (304, b"")
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"a"', "private")


@pytest.mark.parametrize("known", [(), ('"b"',), ("é",)])
def test_everybody_else_gets_the_body(known: tuple[str, ...]) -> None:
    answer = unless_known(asking(*known), b"{}", {"ETag": '"a"'})
    assert (answer.status_code, answer.body) == (200, b"{}")
    assert answer.headers["content-type"] == "application/json"
