"""Payments under load while faults are drawn by a seed; judged by the audit, to the unit.

    CHAOS_SECONDS=7200 CHAOS_SEED=3 pytest -s -m soak tests/integration/test_chaos_of_payments.py

As `test_chaos_of_all_faults`, with its faults, and those of a gateway that answers as it likes.
Not drawn are a backup that is put back, for no gateway forgets with it what it has captured, and
append times that leap, for what they keep held outlives the run.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from faults.foreign_changelog import copy_between_partitions
from integration.arena import PARTITIONS, Arena, arena_of
from integration.test_chaos_of_all_faults import FAULTS as OF_SEATS
from integration.test_chaos_of_all_faults import lose_the_disk
from support.gateways.running import RunningGateway, running_gateway

from infra.stack.processes import wait_until
from schemas.topics import PURCHASES_CHANGELOG
from streams.runtime.process.failpoints import OF_INTENTS

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
ONLY = frozenset(os.environ.get("CHAOS_ONLY", "").split(",")) - {""}
REST_S = 300.0
HANGS_S = 20
NOT_DRAWN = frozenset({"restore_a_backup", "let_append_times_leap"})
RATES = {
    "charge": {
        "decline": 0.05,
        "error": 0.04,
        "hang": 0.01,
        "reset": 0.02,
        "too_many": 0.02,
        "late": 0.02,
        "done_then_error": 0.03,
        "done_then_hang": 0.01,
        "done_then_reset": 0.03,
        "wrong_amount": 0.01,
        "wrong_currency": 0.01,
        "garbage": 0.02,
        "oversized": 0.01,
        "wrong_types": 0.01,
    },
    "look_up": {"error": 0.1, "hang": 0.02, "reset": 0.05, "garbage": 0.05, "wrong_types": 0.02},
    "refund": {"error": 0.05, "done_then_error": 0.05, "done_then_reset": 0.05, "hang": 0.02},
}
"""Shares of requests that the gateway answers in these ways, all the time."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS + 900)]


def gateway_of(arena: Arena) -> RunningGateway:
    assert arena.gateway is not None
    return arena.gateway


def misbehave(arena: Arena) -> None:
    for operation, rates in RATES.items():
        gateway_of(arena).control("/rates", operation=operation, rates=rates, seed=SEED)


def die_at_a_step_of_a_call(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    place, nth = arena.draw.choice(OF_INTENTS), arena.draw.randint(1, 60)
    worker.start("topology", FAILPOINTS=f"{place}:kill:{nth}")


def kill_the_gateway(arena: Arena) -> None:
    gateway_of(arena).process.kill()
    arena.go_on_for(arena.draw.uniform(0, 12))
    gateway_of(arena).process.restart()
    gateway_of(arena).process.wait()
    misbehave(arena)


def let_the_gateway_reset_all(arena: Arena) -> None:
    gateway_of(arena).control("/outage", ms=arena.draw.randint(500, 12_000))
    arena.go_on_for(arena.draw.uniform(0, 4))


def slow_down_the_gateway(arena: Arena) -> None:
    """Let answers come shortly before or after nobody waits for them any more."""
    delay_ms = arena.draw.choice([300, 1_000, 1_700, 2_100, 3_000])
    gateway_of(arena).control("/pace", delay_ms=delay_ms, late_ms=2_500)
    arena.go_on_for(arena.draw.uniform(1, 8))
    gateway_of(arena).control("/pace", delay_ms=0, late_ms=2_500)


def write_into_the_changelog_of_purchases(arena: Arena) -> None:
    origin, target = arena.draw.sample(range(PARTITIONS), 2)
    copy_between_partitions(arena.where.brokers, PURCHASES_CHANGELOG.name, origin, target, 20)
    if arena.draw.random() < 0.5:
        lose_the_disk(arena)


OF_PAYMENTS = (
    die_at_a_step_of_a_call,
    kill_the_gateway,
    let_the_gateway_reset_all,
    slow_down_the_gateway,
    write_into_the_changelog_of_purchases,
)
FAULTS: Mapping[str, Callable[[Arena], None]] = {
    **{name: fault for name, fault in OF_SEATS.items() if name not in NOT_DRAWN},
    **{fault.__name__: fault for fault in OF_PAYMENTS},
}


def drawn_from(arena: Arena) -> Iterator[str]:
    """Yield faults without end: of the gateway as often as of all the others together."""
    chosen = sorted(ONLY & FAULTS.keys() if ONLY else FAULTS)
    own = [name for name in chosen if name not in OF_SEATS]
    while True:
        yield arena.draw.choice(own if own and arena.draw.random() < 0.5 else chosen)


def end_what_hangs(arena: Arena) -> None:
    """Do what the runbook asks for: a lone broker that stood still leaves workers' own ones open.

    What was written a moment ago may be a transaction that goes on well.
    """
    for line in arena.script("hanging_transactions").stdout.splitlines():
        written = re.search(r"last written (\d+) s ago", line)
        if written and int(written[1]) > HANGS_S and "abort: its coordinator knows" in line:
            arena.script(
                "hanging_transactions", "--end", "abort", "--yes", "--at", line.split()[0]
            )


def audited(arena: Arena) -> dict[str, object]:
    done = arena.script("audit", "--json", "--ledger", str(gateway_of(arena).process.ledger))
    verdict: dict[str, object] = json.loads(done.stdout)
    return verdict


def is_settled(arena: Arena) -> bool:
    """Say whether no payment is under way and nothing is held, or something is wrong."""
    end_what_hangs(arena)
    if not arena.is_at_rest():
        return False
    told = audited(arena)
    return told.get("verdict") == "wrong" or (told.get("verdict") == "exact" and not told["held"])


def test_nobody_is_charged_twice_and_money_is_where_the_seats_say_whatever_happens(
    tmp_path: Path,
) -> None:
    done: list[str] = []
    with running_gateway() as gateway, arena_of(tmp_path, SEED, gateway) as arena:
        misbehave(arena)
        arena.keep_going()
        for worker in arena.workers:
            worker.wait_ready()
        end_s = time.monotonic() + SECONDS
        for name in drawn_from(arena):
            if time.monotonic() > end_s:
                break
            done.append(name)
            print(f"{SECONDS - (end_s - time.monotonic()):6.0f} s  {name}", flush=True)  # noqa: T201 - what a failure needs
            FAULTS[name](arena)
            arena.go_on_for(arena.draw.uniform(0.5, 6))
            arena.keep_going()
        gateway.control("/clear")
        tails = "\n".join(worker.tail() for worker in arena.workers)
        assert wait_until(lambda: is_settled(arena), REST_S), f"{audited(arena)}\n{tails}"
        assert [worker.terminate(60) for worker in arena.workers] == [0, 0]
        told = audited(arena)
        print(json.dumps(told), flush=True)  # noqa: T201 - what was sold, for how much
        assert told["verdict"] == "exact", f"{done}\n{json.dumps(told, indent=1)}"
        assert told["payments"]
        assert told["carts"]
        wrong = ("held", "carts_half_held", "money_mismatch", "charged_twice", "compensations")
        assert {name: told[name] for name in wrong} == dict.fromkeys(wrong, 0), done
