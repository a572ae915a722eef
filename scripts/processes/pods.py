"""An API pod process of a script: started, watched, asked for its view, and never left behind."""

import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, monotonic_ns, sleep
from typing import Any

from infra.stack.loopback import OPENER, answers_well
from infra.stack.ports import free_ports
from scripts.brokers.addresses import Servers
from scripts.processes.started import Started, environment_at

ASK_EVERY_S = 0.05


class PodFailed(Exception):
    """The pod ended, did not become ready, or does not answer.

    Operator action: the message ends with the last lines of its log.
    """


class ApiPod(Started):
    """One `python -m api`, with its log in a directory of its own.

    jwks: file of the keys that its tokens are signed with.
    """

    def __init__(
        self,
        where: Servers,
        redis_url: str,
        jwks: Path,
        directory: Path,
        settings: Mapping[str, str],
    ) -> None:
        (self._port,) = free_ports(1)
        self._directory = directory
        environment = environment_at(where) | {
            "REDIS_URL": redis_url,
            "SEATSTREAM_API_PORT": str(self._port),
            "SEATSTREAM_API_JWKS": str(jwks),
            "SEATSTREAM_API_CACHE_DIR": str(directory / "cache"),
            **settings,
        }
        super().__init__(directory / "pod.log", environment)

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._start([sys.executable, "-m", "api"])

    def is_ready(self) -> bool:
        """Say whether it has read what there is, and answers."""
        return answers_well(f"{self.url}/health/ready", timeout_s=1)

    def view_after(self, moment_ns: int, event_id: int, token: str, timeout_s: float) -> bytes:
        """Return its view of an event, as soon as it has all that was visible at a moment.

        moment_ns: of the monotonic clock. Raises PodFailed.
        """
        request = urllib.request.Request(  # noqa: S310 - loopback HTTP
            f"{self.url}/v1/events/{event_id}/availability",
            headers={"Authorization": f"Bearer {token}"},
        )
        end = monotonic() + timeout_s
        trouble = ""
        while monotonic() < end:
            asked_ns = monotonic_ns()
            try:
                with OPENER.open(request, timeout=5) as answer:
                    body: bytes = answer.read()
            except urllib.error.HTTPError as refused:
                refused.close()
                trouble = str(refused)
            except (OSError, http.client.HTTPException) as error:
                trouble = repr(error)
            else:
                known: dict[str, Any] = json.loads(body)
                if asked_ns - known["staleness_ms"] * 1_000_000 >= moment_ns:
                    return body
                trouble = f"its view is {known['staleness_ms']} ms old"
            sleep(ASK_EVERY_S)
        raise PodFailed(f"the pod does not show the end: {trouble}\n{self.log()}")
