"""Where keys and ids of the log belong, worked out without the product's own code."""

import re
from functools import lru_cache

# The reservation of a cart's part, which tells its cart whatever becomes of it.
PART_ID = re.compile(r"[a-z2-7]{26}-(0|[1-9][0-9]{0,5})_([0-9]|1[0-5])")
# What the payment of a whole cart has instead of a reservation's id.
CART_PAYMENT_ID = re.compile(r"[a-z2-7]{26}-(0|[1-9][0-9]{0,5})_c")


@lru_cache(10_000)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's Java client gives to a key (MurmurHash2)."""
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    digest = 0x9747B28C ^ len(key)
    tail = len(key) % 4
    for at in range(0, len(key) - tail, 4):
        word = int.from_bytes(key[at : at + 4], "little") * factor & mask
        digest = (digest * factor & mask) ^ ((word ^ (word >> 24)) * factor & mask)
    if tail:
        digest = (digest ^ int.from_bytes(key[-tail:], "little")) * factor & mask
    digest = (digest ^ (digest >> 13)) * factor & mask
    return ((digest ^ (digest >> 15)) & 0x7FFFFFFF) % partitions
