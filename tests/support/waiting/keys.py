"""Keys that proofs of tests are signed with."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.admission.passes import Passes

KEY = Ed25519PrivateKey.generate()
OLD = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()


def passes(now_s: float = 1_900_000_000) -> Passes:
    """Return what signs with the new key and believes the old one; its clock stands still."""
    return Passes({"new": KEY, "old": OLD}, clock_s=lambda: now_s)


def passes_of_today() -> Passes:
    """Return the same with the clock that Redis has as well."""
    return Passes({"new": KEY, "old": OLD})
