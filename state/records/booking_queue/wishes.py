"""What an item asks for, and what came of it, as JSON in one form: the same wish, the same bytes.

A queue compares requests by their bytes, and keeps what it does not read.
"""

from typing import Any, Final

import orjson

from state.domain.booking_queue.figures import REQUEST_BYTES_MAX
from state.domain.booking_queue.wishes import Carried, Wish, fault_of

_FIELDS: Final = frozenset(Wish._fields)


class WishUnreadable(ValueError):
    """The bytes of an item are no wish of this release: another program's, or a newer one's.

    Operator action: look at the item, which is set aside; remove it, or roll workers out first.
    """


def encoded(wish: Wish) -> bytes | None:
    """Return the bytes of a wish, or None for more than an item may carry."""
    told = {**wish._asdict(), "metadata": dict(wish.metadata)}
    text = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    return text if len(text) <= REQUEST_BYTES_MAX else None


def decoded(text: bytes) -> Wish:
    """Return the wish of an item; raises WishUnreadable."""
    told = _object(text)
    if told.keys() != _FIELDS:
        raise WishUnreadable("other fields than a wish has")
    try:
        wish = Wish(
            section=str(told["section"]),
            seats=tuple((int(row), int(seat)) for row, seat in told["seats"]),
            seat_count=int(told["seat_count"]),
            amount=int(told["amount"]),
            currency=str(told["currency"]),
            metadata=tuple(
                sorted((str(key), str(word)) for key, word in told["metadata"].items())
            ),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise WishUnreadable(f"{type(error).__name__}: {error}") from error
    if fault := fault_of(wish):
        raise WishUnreadable(fault)
    return wish


def encoded_outcome(carried: Carried) -> bytes:
    return orjson.dumps(carried._asdict(), option=orjson.OPT_SORT_KEYS)


def decoded_outcome(text: bytes) -> Carried:
    """Return what came of an item; nothing of either while that is open. Raises WishUnreadable."""
    if not text:
        return Carried("", "")
    told = _object(text)
    return Carried(str(told.get("reservation_id", "")), str(told.get("reason", "")))


def _object(text: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(text)
    except ValueError as error:
        raise WishUnreadable("no JSON") from error
    if not isinstance(told, dict):
        raise WishUnreadable("no JSON object")
    return told
