"""An HTTP server for as long as a test needs it; nothing of it outlives the block."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Page(BaseHTTPRequestHandler):
    """Answers GET and PUT as `serve` says, and logs nothing."""

    def serve(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.serve()

    do_PUT = do_GET  # noqa: N815 (a name that http.server looks for)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (inherited)
        pass

    def answer(self, status: int, body: bytes = b"") -> None:
        """Answer with a body whose length is told."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[ThreadingHTTPServer]:
    """Serve on loopback until the block ends; port 0 stands for any that is free."""
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
