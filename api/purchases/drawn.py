"""A ticket's code as a drawing that doors scan."""

from functools import lru_cache
from io import BytesIO
from typing import Any

import segno

_SCALE = 4
_BORDER = 4


@lru_cache(maxsize=256)
def qr_code(code: str) -> bytes:
    """Return a QR code as an SVG document; error correction M, with its quiet zone."""
    drawn: bytes = _made(code).svg_inline(scale=_SCALE, border=_BORDER).encode()
    return drawn.replace(b"<svg ", b'<svg xmlns="http://www.w3.org/2000/svg" ', 1)


@lru_cache(maxsize=256)
def qr_picture(code: str) -> bytes:
    """Return the same QR code as a PNG picture, in black and white."""
    drawn = BytesIO()
    _made(code).save(drawn, kind="png", scale=_SCALE, border=_BORDER)
    return drawn.getvalue()


def _made(code: str) -> Any:
    return segno.make_qr(code, error="m")
