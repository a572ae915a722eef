"""Questions to HTTP servers of this machine, past any proxy that the environment names."""

import http.client
import urllib.error
import urllib.request
from typing import Final

from infra.process.dropped import unless_dropped

# A proxy of the environment cannot reach our loopback addresses.
OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers_well(page: str | urllib.request.Request, timeout_s: float = 2.0) -> bool:
    """Say whether a page is answered with 200; False for whatever else comes, or nothing."""
    try:
        with OPENER.open(page, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        refused.close()
        return False
    except (OSError, http.client.HTTPException):
        # Nobody is there, or somebody whose answer is cut short or no HTTP at all.
        return False


def tell(url: str, body: bytes, timeout_s: float) -> None:
    """Post what does no harm twice.

    Raises HTTPError where it is refused, another OSError where nobody answers.
    """
    request = urllib.request.Request(url, body, method="POST")  # noqa: S310 (loopback HTTP)

    def ask(left_s: float) -> None:
        with OPENER.open(request, timeout=left_s):
            pass

    try:
        unless_dropped(ask, timeout_s)
    except urllib.error.HTTPError as refused:
        refused.close()
        raise
