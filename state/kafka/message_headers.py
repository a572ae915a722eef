"""The headers of a message that a consumer of librdkafka returned, whatever a stranger named them.

Kafka's brokers take any bytes for a name; the client decodes them as UTF-8, all at once, and
fails where it cannot. Nothing of ours lies in headers of records that are read, so such a record
is taken as one without: every reader asks here, none asks the message.
"""

from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any, Final

# The client leaves the error pending and returns as if nothing had happened: it would strike
# whatever is called next. A call from C is checked, where the interpreter's own short cut is not.
_HEADERS: Final[Callable[[Any], Any]] = methodcaller("headers")

Headers = Sequence[tuple[str, bytes | None]]


def headers_of(message: Any) -> Headers:
    """Return names and values; none where a name is not UTF-8."""
    try:
        # The client gives a consumer's headers as a list of pairs, whatever its hints say.
        headers: Headers = _HEADERS(message) or ()
    except (SystemError, UnicodeDecodeError):
        return ()
    return headers
