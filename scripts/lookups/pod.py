"""One question to a pod: what is free in an event."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final

ANSWER_BYTES_MAX: Final = 16 << 20
TIMEOUT_S: Final = 5.0


class NoAnswer(Exception):
    """A pod cannot be asked, refuses, or answers what is no availability.

    Operator action: look at the pod's `/ready` and log; where it says 401, at the token.
    """


def sections_of(url: str, event_id: int, token: str) -> dict[str, Mapping[str, Any]]:
    """Ask a pod for all sections of an event, by name; none where it has no such event.

    url: of the pod, not of a balancer that chooses one. Raises NoAnswer.
    """
    if not url.startswith(("http://", "https://")):
        raise NoAnswer(f"{url} is no address of a pod: http://host:port")
    page = f"{url.rstrip('/')}/v1/events/{event_id}/availability"
    request = urllib.request.Request(page, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return _sections_in(answer.read(ANSWER_BYTES_MAX + 1))
    except urllib.error.HTTPError as refused:
        with refused:
            reason = _reason_in(refused.read(ANSWER_BYTES_MAX))
        if refused.code == 404 and reason == "NOT_FOUND":
            return {}
        raise NoAnswer(f"{url} answers {refused.code} {reason}".rstrip()) from refused
    except (OSError, HTTPException, ValueError) as error:
        # urllib's own words are put around the cause.
        why = getattr(error, "reason", error)
        raise NoAnswer(f"{url} cannot be asked: {why}. Is it up, and is this its port?") from error


def _sections_in(body: bytes) -> dict[str, Mapping[str, Any]]:
    if len(body) > ANSWER_BYTES_MAX:
        raise NoAnswer(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    try:
        return {one["section"]: one for one in json.loads(body)["sections"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoAnswer(f"an answer that tells no sections: {body[:80]!r}") from error


def _reason_in(body: bytes) -> str:
    """Return the reason of a problem; empty where a stranger answers."""
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
