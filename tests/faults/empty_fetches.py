"""A broker that answers fetches of a topic with no records, though there are some."""

from faults.proxy import FETCH, Asked, Rewrite

_CORRELATION_BYTES = 4


def empty_fetches(topic: str) -> Rewrite:
    """Return what a proxy makes of answers to fetches of version 7 to 11, such as aiokafka's."""
    name = topic.encode()

    def rewrite(asked: Asked, answer: bytes) -> bytes:
        if asked.key != FETCH or not 7 <= asked.version <= 11 or name not in asked.frame:
            return answer
        # Not throttled, no error, no session, and nothing of any topic.
        return answer[:_CORRELATION_BYTES] + bytes(4 + 2 + 4 + 4)

    return rewrite
