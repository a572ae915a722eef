"""The only error of decoding: bytes that do not satisfy the decoder rule."""


class Refused(ValueError):
    """These bytes are not a value of the schema; the text says which check they failed.

    Callers outside `serdes` see it only where they call a generated decoder directly, as the
    hot loop does.
    """
