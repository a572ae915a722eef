"""A schema registry of a few lines over HTTP: what our client asks, and how it can fail."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote

from schemas.topics import subjects
from serdes.avro.schema_files import current


@dataclass
class FakeRegistry:
    """What the registry holds, and the fault it shows.

    texts:   schema text by id, ids from `first_id` on; identical text keeps its id.
    answers: status and raw body for every request instead, to play a broken one.
    hangs:   set to hold every answer until the registry is stopped.
    stumbles: numbers of requests, from 1, that are answered with 503.
    drops:   what is sent of the answer to a request, by its number, before its connection ends.
    writes:  what it keeps of a text. compares_all: whether it compares with all versions at once.
    unlisted: whether it tells nobody which subjects it has.
    """

    first_id: int = 1
    texts: dict[int, str] = field(default_factory=dict)
    versions: dict[str, list[int]] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    incompatible: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    answers: tuple[int, bytes] | None = None
    hangs: bool = False
    stumbles: frozenset[int] = frozenset()
    drops: dict[int, bytes] = field(default_factory=dict)
    writes: Callable[[str], str] = str
    compares_all: bool = True
    unlisted: bool = False
    url: str = ""

    def answer(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        """Return status and JSON of one request."""
        match method, parts:
            case "PUT", ["config", subject]:
                self.levels[subject] = body["compatibility"]
                return 200, body
            case "GET", ["subjects"] if self.unlisted:
                return 403, {"error_code": 40301, "message": "not for you"}
            case "GET", ["subjects"]:
                return 200, list(self.versions)
            case "POST", ["subjects", subject]:
                if subject not in self.versions:
                    return 404, {"error_code": 40401, "message": "no such subject"}
                for schema_id in self.versions[subject]:
                    if self.texts[schema_id] == body["schema"]:
                        return 200, {"subject": subject, "id": schema_id, "version": 1}
                return 404, {"error_code": 40403, "message": "no such schema"}
            case "POST", ["subjects", subject, "versions"]:
                if subject in self.incompatible:
                    return 409, {"error_code": 409, "message": "incompatible"}
                return 200, {"id": self.add(subject, body["schema"])}
            case "POST", ["compatibility", "subjects", subject, "versions"] if self.compares_all:
                return 200, {"is_compatible": subject not in self.incompatible}
            case "POST", ["compatibility", "subjects", subject, "versions", _]:
                return 200, {"is_compatible": subject not in self.incompatible}
            case "GET", ["subjects", subject, "versions", "latest"] if subject in self.versions:
                return 200, {"schema": self.texts[self.versions[subject][-1]]}
            case "GET", ["subjects", subject, "versions"] if subject in self.versions:
                return 200, list(range(1, len(self.versions[subject]) + 1))
            case "GET", ["subjects", subject, "versions", number] if subject in self.versions:
                schema_id = self.versions[subject][int(number) - 1]
                return 200, {"id": schema_id, "schema": self.texts[schema_id]}
            case "GET", ["schemas", "ids", number] if int(number) in self.texts:
                return 200, {"schema": self.texts[int(number)]}
            case "GET", ["schemas", "ids", number, "versions"]:
                return 200, [
                    {"subject": subject, "version": version}
                    for subject, ids in self.versions.items()
                    for version, schema_id in enumerate(ids, start=1)
                    if schema_id == int(number)
                ]
        return 404, {"error_code": 40403, "message": "not found"}

    def add(self, subject: str, text: str) -> int:
        """Register a text; return its id."""
        text = self.writes(text)
        known = [schema_id for schema_id, held in self.texts.items() if held == text]
        schema_id = known[0] if known else self.first_id + len(self.texts)
        self.texts[schema_id] = text
        ids = self.versions.setdefault(subject, [])
        if schema_id not in ids:
            ids.append(schema_id)
        return schema_id


def fill(registry: FakeRegistry) -> None:
    """Give it the current schemas in their order, as `register` would by many questions."""
    for subject, record in subjects().items():
        registry.add(subject, current().text(record))


@contextmanager
def fake_registry(first_id: int = 1) -> Iterator[FakeRegistry]:
    """Serve a registry on a free port of 127.0.0.1 until the block ends."""
    registry = FakeRegistry(first_id)
    stopped = Event()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size) or b"{}")
            parts = [unquote(part) for part in self.path.strip("/").split("/")]
            registry.requests.append(f"{self.command} {self.path}")
            if registry.hangs:
                stopped.wait(30)
                return
            cut = registry.drops.get(len(registry.requests))
            if cut is not None:
                self.close_connection = True
                self.wfile.write(cut)
                return
            if len(registry.requests) in registry.stumbles:
                status, raw = 503, b"busy"
            elif registry.answers is not None:
                status, raw = registry.answers
            else:
                status, found = registry.answer(self.command, parts, body)
                raw = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 (names that http.server looks for)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (inherited)
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # More than the client has threads: one that finds no room tries again after a second.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        stopped.set()
        server.shutdown()
        thread.join(timeout=60)
        server.server_close()
