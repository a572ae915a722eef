"""A worker whose event loop stands still while its other threads, the heartbeats too, go on."""


def blocked_loop(seconds: float, *, at: str = "transaction_begun", nth: int = 1) -> dict[str, str]:
    """Return the environment of a worker whose loop stands still once.

    at:  a place of `streams.runtime.process.failpoints.NAMES`; nth: at which time it is reached.
    """
    return {"FAILPOINTS": f"{at}:sleep_{seconds}:{nth}"}
