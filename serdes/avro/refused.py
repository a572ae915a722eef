"""The errors of decoding, and of encoding what could not be decoded again."""


class Refused(ValueError):
    """These bytes are not a value of the schema; the text says which check they failed.

    Callers outside `serdes` see it only where they call a generated decoder directly, as the
    hot loop does.
    """


class TooLong(ValueError):
    """A record for the store that no decoder would take back: it is not written.

    Operator action: look at the dead letter that comes of it: its sender passes a limit that our
    rules do not know.
    """
