"""The one error of reading: bytes that do not satisfy the decoder rule."""


class Refused(ValueError):
    """These bytes are not a value of the schema; the text says which step refused them.

    Never leaves `serdes` but through a generated decoder called directly, in the hot loop.
    """
