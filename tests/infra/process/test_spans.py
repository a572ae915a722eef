"""Spans reach a collector as OTLP's JSON, and nobody waits for one that does not answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.process import spans
from infra.process.spans import WAITING_MAX, Kind, Span, Spans, a_collector, header_lines, message
from infra.stack.processes import wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RECORDED = f"00-{TRACE}-{PARENT}-01"
SPAN = Span("GET x", Kind.SERVER, TRACE, PARENT, 5, 7, (("a", "b"),))


class Collector:
    """Takes what is posted; answers with `status`, once `may_answer`."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], Any]] = []
        self.status = 200
        self.goes_to = ""
        self.may_answer = threading.Event()
        self.may_answer.set()

    @contextmanager
    def serving(self) -> Iterator[str]:
        taken = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                taken.posts.append((self.path, headers, json.loads(body)))
                taken.may_answer.wait(60)
                self.send_response(taken.status)
                if taken.goes_to:
                    self.send_header("Location", taken.goes_to)
                self.end_headers()

            def do_GET(self) -> None:
                taken.posts.append((self.path, dict(self.headers.items()), {}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            self.may_answer.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def told(self) -> list[dict[str, Any]]:
        """Return all spans."""
        return [
            span
            for _, _, body in self.posts
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture(autouse=True)
def told_soon_and_to_nobody_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(spans, "EVERY_S", 0.02)
    yield
    spans.configure("", (), "")


def test_a_span_is_posted_as_otlp_wants_it(collector: Collector) -> None:
    with collector.serving() as url:
        spans.configure(a_collector(url), header_lines("authorization=Bearer%20x"), "pod-1")
        attributes = (("http.response.status_code", "503"),)
        spans.tell("GET look", Kind.SERVER, RECORDED, 2.0, attributes, is_error=True)
        assert wait_until(lambda: bool(collector.posts), 60)
    [(path, headers, body)] = collector.posts
    assert (path, headers["authorization"]) == ("/v1/traces", "Bearer x")
    assert headers["content-type"] == "application/json"
    [resource] = body["resourceSpans"]
    assert resource["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "pod-1"}}
    ]
    [span] = collector.told()
    assert (span["traceId"], span["parentSpanId"], span["kind"]) == (TRACE, PARENT, 2)
    assert len(span["spanId"]) == 16
    assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 2_000_000_000
    assert span["status"] == {"code": 2}
    assert span["attributes"] == [
        {"key": "http.response.status_code", "value": {"stringValue": "503"}}
    ]


@pytest.mark.parametrize("traceparent", ["", f"00-{TRACE}-{PARENT}-00"])
def test_what_no_caller_records_is_not_told(traceparent: str, collector: Collector) -> None:
    with collector.serving() as url:
        spans.configure(a_collector(url), (), "pod-1")
        spans.tell("unrecorded", Kind.SERVER, traceparent, 1.0)
        spans.tell("recorded", Kind.SERVER, RECORDED, 1.0)
        assert wait_until(lambda: bool(collector.posts), 60)
    assert [span["name"] for span in collector.told()] == ["recorded"]


def test_without_a_collector_nothing_is_told() -> None:
    spans.configure("", (), "pod-1")
    assert not spans.is_on()
    spans.tell("nobody hears", Kind.SERVER, RECORDED, 1.0)


def test_nobody_waits_for_a_collector_that_does_not_answer(collector: Collector) -> None:
    collector.may_answer.clear()
    with collector.serving() as url:
        told = Spans(a_collector(url), {}, "pod-1")
        told.add(SPAN)
        assert wait_until(lambda: bool(collector.posts), 60)
        for _ in range(WAITING_MAX + 10):
            told.add(SPAN)
        assert told.dropped >= 10
        collector.may_answer.set()
        assert wait_until(lambda: len(collector.told()) > WAITING_MAX, 60)
        told.close()


@pytest.mark.parametrize("status", [400, 503])
def test_what_a_collector_refuses_is_dropped_and_counted(
    status: int, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = status
    with collector.serving() as url:
        told = Spans(a_collector(url), {}, "pod-1")
        told.add(SPAN)
        assert wait_until(lambda: told.dropped == 1, 60)
        told.close()
    assert "1 spans were not taken" in caplog.text


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_tokens_of_a_collector_go_to_nobody_it_names(status: int, collector: Collector) -> None:
    another = Collector()
    with collector.serving() as url, another.serving() as elsewhere:
        collector.status, collector.goes_to = status, elsewhere
        told = Spans(a_collector(url), {"authorization": "secret"}, "pod-1")
        told.add(SPAN)
        assert wait_until(lambda: told.dropped == 1, 60)
        told.close()
    assert another.posts == []


def test_a_collector_that_is_away_costs_its_spans_and_nothing_else() -> None:
    told = Spans("http://127.0.0.1:9/v1/traces", {}, "pod-1")
    told.add(SPAN)
    told.close()
    assert told.dropped == 1


def test_numbers_of_ns_are_texts_as_json_has_no_such_integers() -> None:
    [resource] = message([SPAN], "s")["resourceSpans"]
    [span] = resource["scopeSpans"][0]["spans"]
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"], span["status"]) == ("5", "7", {})


@pytest.mark.parametrize("text", ["collector:4318", "grpc://c:4317", "http://u:p@c", "http://"])
def test_an_address_is_one_of_http_without_a_secret(text: str) -> None:
    with pytest.raises(ValueError, match="http"):
        a_collector(text)


@pytest.mark.parametrize("text", ["token", "=x", "a=1,,b=2", "a=b\nc", "a=%0d%0ab"])
def test_headers_are_pairs_that_http_takes(text: str) -> None:
    with pytest.raises(ValueError, match=r"name=value|printable"):
        header_lines(text)


def test_what_cannot_be_sent_at_all_is_told_and_the_next_is_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Spans("http://127.0.0.1:9/v1/traces", {"token": "\N{EURO SIGN}"}, "pod-1")
    for sent in (1, 2):
        told.add(SPAN)
        assert wait_until(lambda sent=sent: told.dropped == sent, 60)  # type: ignore[misc]
    told.close()
    assert "1 spans could not be sent, 2 in all" in caplog.text
