"""A page is answered well, or it is not; no answer of any kind is an error."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.error import HTTPError

import pytest

from infra.stack.loopback import answers_well, tell

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(*answers: bytes | None) -> Iterator[str]:
    """Answer a request each with these bytes, or with none until the client gives up."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        listening.settimeout(60)

        def serve() -> None:
            for answer in answers:
                with listening.accept()[0] as connection:
                    connection.settimeout(60)
                    asked = connection.recv(65_536)
                    # What is not read when a connection ends would take the answer with it.
                    while asked.startswith(b"POST") and not asked.endswith(b"{}"):
                        asked += connection.recv(65_536)
                    if answer is None:
                        # Empty when the client has gone.
                        assert connection.recv(1) == b""
                    else:
                        connection.sendall(answer)

        served = pool.submit(serve)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/ready"
        served.result(timeout=60)


def test_200_is_a_good_answer_whatever_proxy_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with server(OK) as url:
        assert answers_well(url, timeout_s=60)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"-ERR unknown command 'GET'\r\n",
        b"HTTP/1.1 many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"\xff" * 100_000,
        b"",
    ],
    ids=["503", "404", "204", "another protocol", "no status", "many headers", "bytes", "nothing"],
)
def test_every_other_answer_is_none(answer: bytes) -> None:
    with server(answer) as url:
        assert not answers_well(url, timeout_s=60)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_allowed() -> None:
    with server(None) as url:
        assert not answers_well(url, timeout_s=0.1)


def test_where_nobody_listens_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert not answers_well(f"http://127.0.0.1:{port}/ready")


def test_what_is_told_is_told_again_where_the_connection_is_dropped() -> None:
    with server(b"", b"", OK) as url:
        tell(url, b"{}", timeout_s=60)


def test_what_is_told_is_told_once_where_it_is_refused() -> None:
    with (
        server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as url,
        pytest.raises(HTTPError, match="400"),
    ):
        tell(url, b"{}", timeout_s=60)
