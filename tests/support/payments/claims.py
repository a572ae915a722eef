"""Another shop: what it writes to payment-completed, signed or otherwise."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from support.seats.section_commands import EVENT, A

from schemas.topics import PAYMENT_COMPLETED
from serdes.encoding import encoders
from serdes.registry.ids import counted_ids
from state.domain.keys import section_key
from state.records.claim_codecs import ClaimCodecs
from streams.check_claims.handler import Setup
from streams.gateways.webhooks import Secrets

IDS = counted_ids()
SECRET, OLD_SECRET = b"a secret of two shops", b"the secret before that"
SETUP = Setup(ClaimCodecs.of(IDS), Secrets(SECRET, OLD_SECRET))
TYPE = "io.seatstream.payments.PaymentCompleted"
_ENCODE = encoders(PAYMENT_COMPLETED, IDS)[TYPE]

Headers = Sequence[tuple[str, bytes]]


class Written(NamedTuple):
    """A record as a shop writes it."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def signature(key: bytes, value: bytes, secret: bytes = SECRET, name: str = TYPE) -> bytes:
    """Sign as the document says, by code of its own."""
    own = hmac.new(secret, digestmod=sha256)
    for part in (name.encode(), key, value):
        own.update(len(part).to_bytes(8, "big"))
        own.update(part)
    return own.hexdigest().encode()


def completed(
    payment: str,
    amount: int,
    *,
    epoch: int = 1,
    partition: int = 0,
    section: str = A,
    event: int = EVENT,
    encode: Any = _ENCODE,
    **changed: Any,
) -> tuple[bytes, bytes]:
    """Return key and value of what a shop says."""
    fields = {
        "order_id": f"{payment}.{epoch}.{partition}",
        "user": "ann",
        "section": section,
        "event": event,
        "gateway": "mock",
        "payment_id": f"ch_{payment}",
        "amount": amount,
        "currency": "EUR",
        "completed_at_ms": 1_700_000_000_000,
    } | changed
    value = encode(*(one.encode() if isinstance(one, str) else one for one in fields.values()))
    return section_key(event, section), value


def signed(key: bytes, value: bytes, secret: bytes = SECRET) -> Written:
    """Return a record with its signature."""
    return Written(key, value, (("payment-signature", signature(key, value, secret)),))
