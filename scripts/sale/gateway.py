"""What the demo has its payment gateway do: decline, keep silent, be away, send webhooks."""

import json

from infra.gateway.books import Operation
from infra.gateway.faults import Fault
from infra.gateway.webhooks import Manner
from infra.stack.loopback import tell

ANSWER_S = 15.0
OUTAGE_S = 10.0
# Shares of the charges that are asked for the first time.
OF_CHARGES = {Fault.DECLINE: 0.02, Fault.DONE_THEN_HANG: 0.01}
OF_WEBHOOKS = {Manner.TWICE: 0.03, Manner.FORGED: 0.03, Manner.OUT_OF_ORDER: 0.03}


class GatewayControl:
    """The control side of the mock gateway. Raises OSError where it does not answer well."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._seed = seed

    def misbehave(self) -> None:
        """Decline some charges, and take the money of others without a word."""
        self._tell(
            "/rates", operation=Operation.CHARGE.value, rates=dict(OF_CHARGES), seed=self._seed
        )

    def tell_of_decisions(self, pod_url: str) -> None:
        """Send webhooks to a pod from now on."""
        self._tell("/webhooks", url=f"{pod_url}/v1/webhooks/mock", shares=dict(OF_WEBHOOKS))

    def break_down(self) -> None:
        """Reset every connection for a while; returns at once."""
        self._tell("/outage", ms=int(OUTAGE_S * 1000))

    def _tell(self, path: str, **fields: object) -> None:
        tell(self._url + path, json.dumps(fields).encode(), ANSWER_S)
