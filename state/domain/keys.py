"""Ids, keys and partitions: the only place where a key is built or split.

A reservation id that a pod gives out is `{stem}-{partition}`. The stem is a digest of user and
idempotency key, so the same request has the same id in every pod, without a store that all of them
would have to ask; nobody else can have it, and it tells nothing about the user. The partition says
where the reservation lives without the section being named.
"""

import re
from base64 import b32encode
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

# Patterns are over bytes because ids are checked where they are read: in the record.
RESERVATION_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}")
SECTION_ID: Final = re.compile(rb"[A-Z0-9-]{1,32}")

# Keys of a partition's store, and so of its changelog: a tag, then a section key or a reservation
# id. The progress of the partition has no more than its tag.
PROGRESS_KEY: Final = b"p"
SECTION: Final = b"s"
LAYOUT: Final = b"l"
BLOCKED: Final = b"b"
RESERVATION: Final = b"r"

# Of the store of payments, beside the progress.
PURCHASE: Final = b"u"
PAYMENT_OF_GATEWAY: Final = b"g"
COMPENSATION: Final = b"c"
PURCHASE_COUNTS_KEY: Final = b"n"

# Of the store of carts, beside the progress.
CART: Final = b"k"
BUYER: Final = b"h"

# Of the stores of issued purchases, of what is allocated to them, and of its slots.
ISSUED: Final = b"i"
ALLOCATED: Final = b"l"
SLOTS: Final = b"w"

_CART_ID: Final = re.compile(rb"[a-z2-7]{26}-(?:0|[1-9][0-9]{0,5})")
_PART_ID: Final = re.compile(rb"([a-z2-7]{26}-(?:0|[1-9][0-9]{0,5}))_([0-9]|1[0-5])")
_CART_PAYMENT_ID: Final = re.compile(rb"([a-z2-7]{26}-(?:0|[1-9][0-9]{0,5}))_c")
_CART_KEY: Final = re.compile(rb"(?:0|[1-9][0-9]{0,18})-.{1,64}", re.DOTALL)
PART_ID_BYTES_MIN: Final = 30
_PAYMENT_OF_GATEWAY: Final = re.compile(rb"[a-z0-9_-]{1,32}:[!-~]{1,128}")
_ORDER: Final = re.compile(r"([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,5})")
_SECTION_KEY: Final = re.compile(rb"(0|[1-9][0-9]{0,18})-([A-Z0-9-]{1,32})")
EVENT_ID_MAX: Final = 2**63 - 1
EPOCH_MAX: Final = 2**31 - 1

STEM_CHARS: Final = 26
"""Five bits each: two requests of the same stem are not expected in the life of the universe."""

# What a header may carry and a human may read; RFC 9110's visible characters and the space.
IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")

_ISSUED_ID: Final = re.compile(r"([a-z2-7]{26})-(0|[1-9][0-9]{0,5})")

# Kafka's DefaultPartitioner hashes keys with MurmurHash2 (32 bits) and this seed.
_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_32_BITS: Final = 0xFFFFFFFF
_31_BITS: Final = 0x7FFFFFFF


def section_key(event_id: int, section: str) -> bytes:
    """Return the record key of everything that belongs to a section.

    event_id: >= 0.
    section:  a section id, `[A-Z0-9-]{1,32}`.
    """
    return b"%d-%s" % (event_id, section.encode())


def split_section_key(key: bytes) -> tuple[int, str] | None:
    """Return (event id, section id), or None where `key` is not exactly a section key."""
    match = _SECTION_KEY.fullmatch(key)
    if match is None:
        return None
    event_id = int(match[1])
    return (event_id, match[2].decode()) if event_id <= EVENT_ID_MAX else None


def cart_key(event_id: int, user_id: bytes) -> bytes:
    """Return the record key of everything that belongs to a buyer's carts of an event."""
    return b"%d-%s" % (event_id, user_id)


def buyer_key(event_id: int, user_id: bytes) -> bytes:
    """Return the record key of all that a buyer has bought of an event."""
    return cart_key(event_id, user_id)


def is_cart_id(cart_id: bytes) -> bool:
    """Say whether an id has the form of a cart's: one that a pod gives out."""
    return _CART_ID.fullmatch(cart_id) is not None


def part_id(cart_id: bytes, number: int) -> bytes:
    """Return the reservation id of a cart's part; number: from 0 to 15.

    No pod gives out such an id for anything else, so that nobody holds or ends a part but as one
    of its cart.
    """
    return b"%s_%d" % (cart_id, number)


def split_part_id(reservation_id: bytes) -> tuple[bytes, int] | None:
    """Return cart id and number of a part, or None for any other reservation's id."""
    match = _PART_ID.fullmatch(reservation_id)
    return None if match is None else (match[1], int(match[2]))


def cart_payment_id(cart_id: bytes) -> bytes:
    """Return what stands for a reservation id where a cart is paid for as a whole.

    Carts and reservations have ids of one form, so the cart's own id could be a reservation's too.
    No section ever holds anything under this one.
    """
    return b"%s_c" % cart_id


def cart_of_payment(payment_id: bytes) -> bytes | None:
    """Return the cart whose payment has this id, or None where it is a reservation's."""
    match = _CART_PAYMENT_ID.fullmatch(payment_id)
    return None if match is None else match[1]


class Order(NamedTuple):
    """What a payment gateway calls an order: one hold of one reservation.

    A reservation's id is its buyer's choice, and unique within its partition alone.
    """

    reservation_id: str
    epoch: int
    partition: int

    @property
    def id(self) -> str:
        """Return the order id, at most 82 characters of `[A-Za-z0-9_.-]`."""
        return f"{self.reservation_id}.{self.epoch}.{self.partition}"


def split_order_id(order_id: str) -> Order | None:
    """Return the parts of an order id, or None where it is none of ours.

    No record has room for a higher epoch than `EPOCH_MAX`, so an order that names one is none.
    """
    match = _ORDER.fullmatch(order_id)
    if match is None or int(match[2]) > EPOCH_MAX:
        return None
    return Order(match[1], int(match[2]), int(match[3]))


def may_store(store_key: bytes, partition: int, partitions: int) -> bool:
    """Say whether a partition's store may have a key.

    A reservation's id is its buyer's choice and says nothing of the partition.
    """
    tag, rest = store_key[:1], store_key[1:]
    if tag in {SECTION, LAYOUT, BLOCKED}:
        return split_section_key(rest) is not None and partition_of(rest, partitions) == partition
    if tag == RESERVATION:
        return RESERVATION_ID.fullmatch(rest) is not None
    return store_key == PROGRESS_KEY


def may_store_of_payments(store_key: bytes, _partition: int, _partitions: int) -> bool:
    """Say whether a partition's store of payments may have a key; none tells its partition."""
    tag, rest = store_key[:1], store_key[1:]
    if tag in {PURCHASE, COMPENSATION}:
        return RESERVATION_ID.fullmatch(rest) is not None
    if tag == PAYMENT_OF_GATEWAY:
        return _PAYMENT_OF_GATEWAY.fullmatch(rest) is not None
    return store_key in {PROGRESS_KEY, PURCHASE_COUNTS_KEY}


def may_store_of_carts(store_key: bytes, partition: int, partitions: int) -> bool:
    """Say whether a partition's store of carts may have a key.

    A cart's id names its partition, but whoever appends it may have made it up.
    """
    tag, rest = store_key[:1], store_key[1:]
    if tag == BUYER:
        is_buyer = _CART_KEY.fullmatch(rest) is not None
        return is_buyer and partition_of(rest, partitions) == partition
    return is_cart_id(rest) if tag == CART else store_key == PROGRESS_KEY


def murmur2(data: bytes) -> int:
    """Return the hash of Kafka's Java client, as an unsigned 32-bit number."""
    length = len(data)
    whole = length & ~3
    result = _SEED ^ length
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _32_BITS
        word = (word ^ word >> 24) * _MULTIPLIER & _32_BITS
        result = (result * _MULTIPLIER & _32_BITS) ^ word
    if length > whole:
        result = (result ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _32_BITS
    result = (result ^ result >> 13) * _MULTIPLIER & _32_BITS
    return result ^ result >> 15


# Remembered because a producer asks for the same few thousand sections all the time.
@lru_cache(maxsize=1 << 14)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner gives to `key`.

    partitions: count of the topic's partitions, >= 1.
    """
    # Kafka clears the sign bit instead of taking the absolute value.
    return (murmur2(key) & _31_BITS) % partitions


class IssuedId(NamedTuple):
    """The parts of a reservation id that a pod gave out."""

    stem: str
    partition: int


def stem_of(user_id: str, idempotency_key: str) -> str:
    """Return the stem of the ids of a user's request: 26 characters of `[a-z2-7]`."""
    # A user id has no control characters, so the zero byte ends it beyond doubt.
    digest = sha256(user_id.encode() + b"\0" + idempotency_key.encode()).digest()
    return b32encode(digest)[:STEM_CHARS].decode().lower()


def issued_id(stem: str, partition: int) -> str:
    """Return the reservation id with this stem, of a section on this partition."""
    return f"{stem}-{partition}"


def split_issued_id(reservation_id: str) -> IssuedId | None:
    """Return the parts of an id, or None for an id that no pod gave out."""
    match = _ISSUED_ID.fullmatch(reservation_id)
    return None if match is None else IssuedId(match[1], int(match[2]))
