"""Webhooks: a gateway hints that something happened, and the payments role then asks it.

The gateway gets its 2xx once the hint is in the log. A sender shows that he has the secret by a
signature of the raw body. So a pod checks the signature before it parses the body, and demands no
content type or coding.
"""

import time
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from api.guard import pod_of
from api.web.problems import Problem
from state.domain.keys import split_order_id
from state.domain.reasons import ApiReason
from streams.gateways.protocol import Delivery
from streams.gateways.webhooks import WebhookRefusal

router = APIRouter(tags=["payments"])

PATH: Final = "/v1/webhooks/"

_REFUSED: Final = {
    WebhookRefusal.TOO_LARGE: (ApiReason.BODY_TOO_LARGE, "Send at most 64 KiB."),
    WebhookRefusal.BAD_BODY: (ApiReason.MALFORMED, "The body is no webhook of this gateway."),
}
_UNSIGNED: Final = (
    # 400 and no 401, which demands a challenge that the sender could answer: what a secret did not
    # sign gets no better by another try.
    ApiReason.NOT_SIGNED,
    "Sign time and body with the shared secret, and send them within 300 s.",
)


@router.post(PATH + "{gateway}", status_code=204)
async def hear_gateway(
    request: Request,
    gateway: Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,31}$")],
) -> Response:
    """Take an event from a gateway, which must be signed as that gateway signs."""
    pod = pod_of(request)
    heard_by = pod.payments.gateways.get(gateway)
    if heard_by is None:
        raise Problem.of(ApiReason.NOT_FOUND, "See /docs for what there is.")
    delivery = Delivery(request.headers.raw, await request.body())
    hint = await heard_by.webhook(delivery, int(time.time() * 1000))
    if isinstance(hint, WebhookRefusal):
        raise Problem.of(*_REFUSED.get(hint, _UNSIGNED), refusal=hint.value)
    order = None if hint.order_id is None else split_order_id(hint.order_id)
    if order is None or not pod.payments.has_partition(order.partition):
        # An event about no order of ours: another system may share our account at the gateway.
        return Response(status_code=204)
    value = pod.payments.encoders.hint(gateway, hint.event_id, order.id)
    correlation = request.state.correlation
    await pod.payments.tell(order.reservation_id, order.partition, value, correlation)
    return Response(status_code=204)
