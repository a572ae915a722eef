"""How many payments a second are settled, and how long one takes that does not wait in line.

A payment is settled when the committed outcome is there by which its seats are sold: that comes
behind the gateway's answer, and is what a buyer waits for.
"""

from math import ceil

from benchmarks.measuring.figures import Run, percentile
from benchmarks.measuring.offered_load import due_ns, offer, sighted
from benchmarks.measuring.progress import Progress
from benchmarks.payment_runs.till import Till
from benchmarks.seat_runs import seen
from benchmarks.seat_runs.drained import LEFT_OUT, rates, watch
from benchmarks.seat_runs.seen import must_be_acknowledged, wait_seen
from benchmarks.seat_runs.worker import Worker
from scripts.traffic.sending import CommandSender

TOO_LONG_MS = 60_000.0
"""A buyer who has waited for so long has gone."""


def backlog_of(delay_ms: int, calls: int, seconds: float, most: int) -> int:
    """Return how many payments last for a measurement, if the gateway is what bounds them.

    most: where it is not.
    """
    if not delay_ms:
        return most
    each_s = delay_ms / 1000
    # What is left out at the beginning comes on top, and so does one round of calls.
    return min(most, ceil(calls * (seconds / each_s + 2) / (1 - LEFT_OUT)))


def measure_settled(
    till: Till, worker: Worker, delay_ms: int, count: int, seconds: float, progress: Progress
) -> Run:
    """Begin so many payments at once; return how fast they are settled, and what that costs.

    seconds: after which it is enough; the rest is settled without the gateway's delay.
    """
    till.pace(delay_ms)
    commands = till.starts(till.hold(count, worker))
    gateway_cpu_s = [0.0]

    def begun() -> None:
        gateway_cpu_s[0] = till.gateway_cpu_s()

    with till.sold() as reader:
        till.cluster.preload(commands)
        window = watch(
            till.cluster,
            worker,
            lambda: reader.count,
            count,
            progress,
            limit_s=seconds,
            at_window_start=begun,
        )
        took_s = window[-1].at_s - window[0].at_s
        gateway_percent = (till.gateway_cpu_s() - gateway_cpu_s[0]) / took_s * 100
        till.pace(0)
        wait_seen(reader, count, worker)
    found = rates(window)
    per_s = found["decisions_per_s"]
    return {
        "settled_per_s": per_s,
        "worker_cpu_us": found["worker_cpu_us"],
        "broker_cpu_us": found["broker_cpu_us"],
        "worker_cpu_percent": found["worker_cpu_us"] * per_s / 1e4,
        "gateway_cpu_percent": gateway_percent,
    }


def measure_paced(till: Till, worker: Worker, rate: int, warm_up_s: float, seconds: float) -> Run:
    """Begin payments at a rate; return how long each takes until its seats are sold.

    The clock starts when a start is due to be appended.
    """
    commands = till.starts(till.hold(int(rate * (warm_up_s + seconds)), worker))
    sender = CommandSender(till.cluster.brokers, linger_ms=5)
    with till.sold() as reader:
        run, times_seen = seen.measure_paced(sender, reader, worker, commands, rate, warm_up_s)
    return {**run, "twice": float(sum(times > 1 for times in times_seen))}


def measure_burst(till: Till, worker: Worker, users: int) -> Run:
    """Begin the payments of so many users within a second; return how long each of them waits."""
    commands = till.starts(till.hold(users, worker))
    sender = CommandSender(till.cluster.brokers, linger_ms=5)
    with till.sold() as reader:
        begin_ns, _ = offer(sender, commands, users, 0.0, lambda _: None)
        until_ns = due_ns(begin_ns, users, users)
        must_be_acknowledged(sender)
        wait_seen(reader, users, worker)
    sightings, times_seen = sighted(reader.seen, commands, begin_ns, users)
    ordered_ms = sightings.ordered_ms(begin_ns, until_ns)
    late = sum(one > TOO_LONG_MS for one in ordered_ms)
    return {
        "p50_ms": percentile(ordered_ms, 0.50),
        "p95_ms": percentile(ordered_ms, 0.95),
        "max_ms": ordered_ms[-1],
        "too_long_percent": 100 * late / users,
        "not_once_percent": 100 * sum(times != 1 for times in times_seen) / users,
    }
