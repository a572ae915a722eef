"""A server that is called from outside Kafka: it keeps a ledger and honours idempotency keys."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Ledger:
    """What the destinations heard and did.

    calls:   how often each key came. first_s: Unix time of its first call. done: keys acted on.
    holds:   destinations whose calls wait. fails: those that answer 503 and do nothing.
    waiting: keys of the calls that wait now.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.done: set[str] = set()
        self.first_s: dict[str, float] = {}
        self.fails: set[str] = set()
        self.waiting: list[str] = []
        self._holds: set[str] = set()
        self._changed = threading.Condition()

    def hold(self, *destinations: str) -> None:
        """Let the calls of these wait, and of no others."""
        with self._changed:
            self._holds = set(destinations)
            self._changed.notify_all()

    def heard(self, destination: str, key: str) -> bool:
        """Take a call in; return whether it is answered well. May take as long as it is held."""
        with self._changed:
            self.calls[key] += 1
            self.first_s.setdefault(key, time.time())
            self.waiting.append(key)
            # Bounded, so that no thread outlives its test.
            self._changed.wait_for(lambda: destination not in self._holds, 120)
            self.waiting.remove(key)
            if destination in self.fails:
                return False
            self.done.add(key)
            return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        good = self.server.ledger.heard(self.path.strip("/"), key)
        body = f"done {key}".encode() if good else b"not now"
        try:
            self.send_response(200 if good else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # Whoever called is gone.
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, ledger: Ledger, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.ledger = ledger

    def handle_error(self, *_: object) -> None:
        """A caller that was killed is no error of ours."""


@contextmanager
def serving(ledger: Ledger, port: int = 0) -> Iterator[int]:
    """Serve the destinations; give the port."""
    server = _Server(ledger, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        ledger.hold()
        server.shutdown()
        thread.join()
        server.server_close()
