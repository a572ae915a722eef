"""What buyers want of several sections in; holds of each, that stand or fall together, out."""

from streams.hold_carts.contradictions import contradiction
from streams.hold_carts.handler import hold_carts, progress, refuse_poison

__all__ = ["contradiction", "hold_carts", "progress", "refuse_poison"]
