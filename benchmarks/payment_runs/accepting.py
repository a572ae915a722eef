"""How fast a pod takes payments on while no worker runs."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson

from benchmarks.measuring.figures import Run, latencies
from benchmarks.payment_runs.till import METHOD, Held
from benchmarks.pod_runs.api_pod import ApiPod, Asking, Users

ACCEPTED = 202
BODY = orjson.dumps({"epoch": 1, "method": METHOD}).decode()


def measure_accepted(
    pod: ApiPod, users: Users, held: Sequence[Held], connections: int, seconds: float
) -> tuple[Run, int]:
    """Begin to pay for these, each over one of the connections, until all or the time is over.

    Return the figures, and how many were accepted. Each connection asks again as soon as it has
    its answer.
    """
    until_s = time.monotonic() + seconds
    began_s = time.monotonic()

    def drive(share: Sequence[Held]) -> list[tuple[int, float]]:
        told = []
        with Asking(pod, users.token) as asking:
            for one in share:
                if time.monotonic() > until_s:
                    break
                what = f"POST /v1/reservations/{one.reservation_id}/payments"
                key = f"Idempotency-Key: pay-{one.reservation_id}"
                sent_ns = time.monotonic_ns()
                status, _ = asking.ask(what, users.token_of(one.user), [key], BODY)
                told.append((status, (time.monotonic_ns() - sent_ns) / 1e6))
        return told

    with ThreadPoolExecutor(connections) as threads:
        shares = [held[number::connections] for number in range(connections)]
        told = [one for answers in threads.map(drive, shares) for one in answers]
    took_s = time.monotonic() - began_s
    accepted = sorted(ms for status, ms in told if status == ACCEPTED)
    figures = {
        "accepted_per_s": len(accepted) / took_s,
        **latencies(accepted),
        "not_202": float(len(told) - len(accepted)),
    }
    return figures, len(accepted)
