"""Answers that are nobody's to keep."""

from collections.abc import Iterable
from typing import Any

import orjson
from fastapi import Response

from api.web.problems import Header


def json_answer(body: Any, status: int = 200, headers: Iterable[Header] = ()) -> Response:
    """Return an answer of JSON; whoever asks again is answered anew."""
    return Response(
        orjson.dumps(body),
        status_code=status,
        media_type="application/json",
        headers={**dict(headers), "Cache-Control": "no-store"},
    )
