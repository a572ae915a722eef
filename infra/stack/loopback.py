"""Questions to HTTP servers of this machine, past any proxy that the environment names."""

import http.client
import urllib.error
import urllib.request
from typing import Final

# A proxy of the environment cannot reach our loopback addresses.
OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers_well(url: str, timeout_s: float = 2.0) -> bool:
    """Say whether a page is answered with 200; False for whatever else comes, or nothing."""
    try:
        with OPENER.open(url, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        refused.close()
        return False
    except (OSError, http.client.HTTPException):
        # Nobody is there, or somebody whose answer is cut short or no HTTP at all.
        return False
