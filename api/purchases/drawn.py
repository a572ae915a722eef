"""A ticket's code as a drawing that doors scan."""

from functools import lru_cache

import segno


@lru_cache(maxsize=256)
def qr_code(code: str) -> bytes:
    """Return a QR code as an SVG document; error correction M, with its quiet zone."""
    drawn: bytes = segno.make_qr(code, error="m").svg_inline(scale=4, border=4).encode()
    return drawn.replace(b"<svg ", b'<svg xmlns="http://www.w3.org/2000/svg" ', 1)
