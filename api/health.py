"""Pages about the pod itself: alive, ready, metrics, what is running. They need no token.

    GET /health/live   the event loop turns, and no part ended by a mistake of ours
    GET /health/ready  every part has read what it must, and the pod was not told to end
    GET /metrics       Prometheus' text format
    GET /info          version, revision, schemas
    GET /.well-known/jwks.json  the keys that doors check tickets with

Neither page depends on brokers or Redis once the pod is ready: a pod whose brokers are gone still
answers look-ups with their age, and a restart would take that away.
"""

import time
from functools import cache
from typing import Any

import orjson

from api.pod import Pod
from api.web.requests import Send
from infra.process.build import VERSION
from infra.process.metrics import CONTENT_TYPE
from schemas.topics import subjects
from serdes.avro.schema_files import current, digest_of


async def answer(pod: Pod, path: str, send: Send) -> bool:
    """Answer one of the pages; say whether `path` is one."""
    if path == "/health/live":
        ended = pod.ended()
        up_s = round(time.monotonic() - pod.started_s, 1)
        content = {"live": not ended, "up_s": up_s, "ended": ended}
        await _json(send, 503 if ended else 200, content)
    elif path == "/health/ready":
        parts = pod.readiness()
        is_ready = pod.is_ready()
        content = {"ready": is_ready, "parts": parts}
        if troubles := pod.troubles():
            content["troubles"] = troubles
        if fault := pod.partitions.fault():
            content["partitions"] = fault
        await _json(send, 200 if is_ready else 503, content)
    elif path == "/metrics":
        await _reply(send, 200, CONTENT_TYPE, pod.metrics.exposition())
    elif path == "/info":
        await _json(send, 200, {**info(), "revision": pod.settings.revision})
    elif path == "/.well-known/jwks.json":
        await _json(send, 200, pod.ticket_keys.jwks())
    else:
        return False
    return True


@cache
def info() -> dict[str, Any]:
    """Return the version, and the schemas spoken by digest."""
    return {
        "version": VERSION,
        "schemas": {
            record: digest_of(current().text(record)) for record in sorted(subjects().values())
        },
    }


async def _json(send: Send, status: int, content: dict[str, Any]) -> None:
    headers = () if status == 200 else ((b"retry-after", b"1"),)
    await _reply(send, status, "application/json", orjson.dumps(content), headers)


async def _reply(
    send: Send,
    status: int,
    content_type: str,
    body: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", content_type.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *headers,
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
