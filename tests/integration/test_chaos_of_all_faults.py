"""Every fault of the library, drawn by a seed, on the real seats under load, judged by the audit.

    CHAOS_SECONDS=7200 CHAOS_SEED=3 pytest -s -m soak tests/integration/test_chaos_of_all_faults.py

What was drawn is printed; the same seed draws the same faults in the same order. CHAOS_ONLY, names
of faults with commas between, draws from these alone.

What cannot be drawn, for the run must end exact:

- lost outcomes, dead letters, changelogs or commands (`lost_topic`, `lost_records`): the truth is
  gone that the audit reads. The status topic alone can be told again.
- values over keys of the changelog that a partition has itself: compaction removes what was
  right, and an operator must mend it.
- transactions that their coordinator does not know (`hanging_transaction`): a broker takes them
  only without the check that keeps late requests of this run from hanging in the same way.
- a disk of one's own (`small_disk`): it needs root; `limits` fills the disk of whoever runs.

A restored backup loses what was acknowledged since. What it leaves is exact, and that is judged.
"""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer
from faults.append_times import append_again, forged_append_times
from faults.blocked_loop import blocked_loop
from faults.broker_answers import (
    FETCH,
    JOIN_GROUP,
    KAFKA_STORAGE_ERROR,
    NOT_LEADER,
    OFFSET_COMMIT,
    UNKNOWN_SERVER_ERROR,
    UNKNOWN_TOPIC_OR_PARTITION,
    BrokerAnswers,
)
from faults.empty_fetches import empty_fetches
from faults.foreign_changelog import copy_between_partitions
from faults.foreign_producer import append, batch, record
from faults.group_answers import (
    COORDINATOR_LOAD_IN_PROGRESS,
    COORDINATOR_NOT_AVAILABLE,
    GROUP_AUTHORIZATION_FAILED,
    NOT_COORDINATOR,
)
from faults.hanging_transaction import abandoned
from faults.limits import file_size_limit, memory_limit
from faults.lost_topic import delete_topic
from faults.proxy import ADD_OFFSETS_TO_TXN, END_TXN, PRODUCE, TXN_OFFSET_COMMIT, Way
from faults.restored_backup import back_up, put_back
from faults.swapped_registry import fill, swapped
from integration.arena import PARTITIONS, Arena, arena_of
from integration.workers import SESSION_TIMEOUT_S

from infra.stack.processes import wait_until
from schemas.topics import (
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.sale.faults import copy_stores, damage_stores
from streams.runtime.process.failpoints import OF_RECORDS
from streams.settings import Settings

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
ONLY = frozenset(os.environ.get("CHAOS_ONLY", "").split(",")) - {""}
REST_S = 240.0
HOUR_MS = 3_600_000
# A broker takes no record that is dated further ahead than an hour.
LEAP_MS = 3_300_000
EXCHANGED = (
    "io.seatstream.commands.ConfirmReservation",
    "io.seatstream.commands.ReleaseReservation",
)
TOPICS = (SECTION_COMMANDS, RESERVATION_OUTCOMES, SECTION_STATUS, SEATS_CHANGELOG)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS + 900)]


# Workers.


def kill(arena: Arena) -> None:
    arena.a_worker().kill()


def kill_all(arena: Arena) -> None:
    for worker in arena.workers:
        arena.a_worker()
        worker.kill()


def leave(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.process.signal(signal.SIGTERM)


def pause(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.pause()
    arena.go_on_for(arena.draw.uniform(0.2, 2.5 * SESSION_TIMEOUT_S))
    worker.resume()


def lose_the_disk(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    worker.wipe()


def damage_the_stores(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    damage_stores(worker.stores, arena.draw)


def bring_older_stores_back(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    copy = worker.stores.with_name("stores-copy")
    if copy.exists() and arena.draw.random() < 0.5:
        copy_stores(copy, worker.stores)
    else:
        copy_stores(worker.stores, copy)


def block_the_loop(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    seconds = arena.draw.uniform(1, 3 * SESSION_TIMEOUT_S)
    place = arena.draw.choice(OF_RECORDS)
    worker.start("topology", **blocked_loop(seconds, at=place, nth=arena.draw.randint(1, 20)))


def die_at_a_place(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    place, nth = arena.draw.choice(OF_RECORDS), arena.draw.randint(1, 20)
    worker.start("topology", FAILPOINTS=f"{place}:kill:{nth}")


def fill_the_disk_of_a_worker(arena: Arena) -> None:
    with file_size_limit(arena.a_worker().process.pid, 4096):
        arena.go_on_for(arena.draw.uniform(1, 5))


def leave_no_memory(arena: Arena) -> None:
    with memory_limit(arena.a_worker().process.pid, 1 << 20):
        arena.go_on_for(arena.draw.uniform(1, 3))


def put_a_clock_wrong(arena: Arena) -> None:
    """Let a worker's clock be slow or fast for a while; by an hour it must not go on."""
    clock = arena.clocks[arena.a_worker().name]
    error_ms = arena.draw.choice([-HOUR_MS, -3_000, 3_000, HOUR_MS])
    clock.shift(error_ms + arena.draw.randint(-1_000, 1_000))
    arena.go_on_for(arena.draw.uniform(1, 8))
    # Also who starts meanwhile must not begin.
    arena.keep_workers_going()
    arena.go_on_for(arena.draw.uniform(1, 8))
    clock.shift(0)


def let_append_times_leap(arena: Arena) -> None:
    """Let commands come again at times that are far off, as from a broker whose clock leaps."""
    brokers, topic = arena.where.brokers, SECTION_COMMANDS.name
    with forged_append_times(brokers, topic):
        for _ in range(arena.draw.randint(1, 6)):
            shift_ms = arena.draw.choice([-LEAP_MS, -20_000, 20_000, LEAP_MS])
            shift_ms += arena.draw.randint(-5_000, 5_000)
            place, count = arena.draw.randrange(PARTITIONS), arena.draw.randint(1, 50)
            append_again(brokers, topic, place, count, shift_ms)
            arena.go_on_for(arena.draw.uniform(0, 2))
            if arena.draw.random() < 0.2:
                # Whoever takes over meets the leap in the state, or in the log.
                arena.a_worker().kill()


# The broker, and the way to it.


def kill_the_broker(arena: Arena) -> None:
    arena.stack.kill_broker()
    arena.go_on_for(arena.draw.uniform(0, 3))
    arena.stack.start_broker()


def pause_the_broker(arena: Arena) -> None:
    arena.stack.pause_broker()
    arena.go_on_for(arena.draw.uniform(0.5, 8))
    arena.stack.resume_broker()


def fill_the_disk_of_the_broker(arena: Arena) -> None:
    # Segments that are longer than this cannot grow; a broker that gives up is started again.
    with file_size_limit(arena.stack.broker_pids[1], 1 << 20):
        arena.go_on_for(arena.draw.uniform(1, 4))
    arena.stack.kill_broker()
    arena.stack.start_broker()


def cut_one_way(arena: Arena) -> None:
    with arena.proxy.cut(arena.draw.choice([Way.TO_BROKER, Way.TO_CLIENT])):
        arena.go_on_for(arena.draw.uniform(0.5, 8))


def slow_down_the_link(arena: Arena) -> None:
    chance = random.Random(arena.draw.random())
    arena.proxy.delay_s = lambda _key, _request: (
        chance.uniform(0.02, 0.4) if chance.random() < 0.2 else 0.0
    )
    arena.go_on_for(arena.draw.uniform(1, 6))
    arena.proxy.delay_s = lambda _key, _request: 0.0


def lose_answers(arena: Arena) -> None:
    key = arena.draw.choice([PRODUCE, END_TXN, TXN_OFFSET_COMMIT, ADD_OFFSETS_TO_TXN])
    group = Settings().app_id.encode()
    arena.proxy.silences = lambda asked, request: asked == key and group in request[:300]
    arena.go_on_for(arena.draw.uniform(0.5, 3))
    arena.proxy.silences = lambda _key, _request: False


def hide_what_there_is(arena: Arena) -> None:
    before = arena.proxy.rewrite
    arena.proxy.rewrite = empty_fetches(SECTION_COMMANDS.name)
    arena.go_on_for(arena.draw.uniform(1, 6))
    arena.proxy.rewrite = before


def answer_with_error_codes(arena: Arena) -> None:
    """Let whoever takes over be kept out of the group, or not be let claim."""
    said = [(JOIN_GROUP, UNKNOWN_SERVER_ERROR), (OFFSET_COMMIT, UNKNOWN_TOPIC_OR_PARTITION)]
    key, code = arena.draw.choice(said)
    codes = BrokerAnswers()
    codes.say(key, code, times=arena.draw.randint(1, 5), named=Settings().app_id)
    before, arena.proxy.rewrite = arena.proxy.rewrite, codes
    arena.a_worker().kill()
    arena.go_on_for(arena.draw.uniform(1, 6))
    arena.proxy.rewrite = before


def answer_fetches_with_error_codes(arena: Arena) -> None:
    """Let some partitions not be read, for less or for more than is passed over."""
    codes, topic = BrokerAnswers(), SECTION_COMMANDS.name
    places = arena.draw.sample(range(PARTITIONS), arena.draw.randint(1, PARTITIONS))
    code = arena.draw.choice([UNKNOWN_SERVER_ERROR, KAFKA_STORAGE_ERROR, NOT_LEADER])
    codes.say(FETCH, code, times=10**9, named=topic, topic=topic, partitions=places)
    before, arena.proxy.rewrite = arena.proxy.rewrite, codes
    arena.go_on_for(arena.draw.uniform(0.2, 15))
    arena.proxy.rewrite = before


def answer_for_the_group_wrongly(arena: Arena) -> None:
    """Let a takeover meet a coordinator that loads or moves."""
    codes = (
        COORDINATOR_LOAD_IN_PROGRESS,
        COORDINATOR_NOT_AVAILABLE,
        NOT_COORDINATOR,
        GROUP_AUTHORIZATION_FAILED,
    )
    times = arena.draw.randint(1, 5)
    arena.answers.say(Settings().app_id, arena.draw.choice(codes), times=times)
    arena.a_worker().kill()


def lose_the_registry(arena: Arena) -> None:
    arena.stack.stop_registry()
    arena.go_on_for(arena.draw.uniform(0, 3))
    arena.stack.start_registry()


def swap_the_registry(arena: Arena) -> None:
    """Serve a registry that knows two records by one another's ids; who starts must refuse it."""
    registry, directory = arena.stack._registry, arena.directory / "another-registry"
    assert registry is not None
    is_new = not directory.exists()
    with swapped(registry, directory):
        if is_new:
            fill(arena.where.registry_url, exchanged=EXCHANGED)
        arena.a_worker().kill()
        arena.keep_workers_going()
        arena.go_on_for(arena.draw.uniform(2, 10))


# What others do to the topics.


def restore_a_backup(arena: Arena) -> None:
    """Take one, or put it back, also under workers that nobody has stopped before."""
    backup = arena.directory / "backup"
    if not backup.exists():
        back_up(arena.stack, backup)
        return
    arena.end_sales()
    if arena.draw.random() < 0.5:
        for worker in arena.workers:
            if worker.child is not None:
                worker.kill()
    put_back(arena.stack, backup)


def lose_the_status(arena: Arena) -> None:
    delete_topic(arena.where.brokers, SECTION_STATUS.name)
    arena.go_on_for(arena.draw.uniform(0, 5))
    created = arena.script("create_topics", "--partitions", str(PARTITIONS))
    assert created.returncode == 0, created.stdout + created.stderr


def leave_a_transaction_open(arena: Arena) -> None:
    """Begin one that hides what follows it, and end it as the runbook says."""
    topic = arena.draw.choice(TOPICS).name
    place = arena.draw.randrange(PARTITIONS)
    hanging = abandoned(arena.where.brokers, "stranger", topic, place, b"hanging")
    arena.go_on_for(arena.draw.uniform(1, 10))
    if arena.draw.random() < 0.5:
        # Whoever takes over while it is open must not believe that the log ends before it.
        arena.a_worker().kill()
        arena.keep_workers_going()
        arena.go_on_for(arena.draw.uniform(1, 10))

    def has_ended() -> bool:
        done = arena.script("hanging_transactions")
        listed = done.stdout.splitlines()
        found = [line.split()[0] for line in listed if " stranger: " in line]
        for at in found:
            arena.script("hanging_transactions", "--end", "abort", "--yes", "--at", at)
        # Workers have transactions under way too, and those are listed.
        return done.returncode in {0, 3} and not found

    assert wait_until(has_ended, 120), arena.script("hanging_transactions")
    del hanging


def let_strangers_write(arena: Arena) -> None:
    """Append records that are none of ours where readers must pass them over."""
    producer = Producer({"bootstrap.servers": arena.where.brokers, "message.timeout.ms": 20_000})
    values = (None, b"", b"hello", b"\x00\xff\xff\xff\xffx", b"\x00\x00\x00\x00\x01" + b"\xff" * 9)
    for topic in TOPICS:
        value, key = arena.draw.choice(values), arena.draw.choice([None, b"", b"stranger"])
        place = arena.draw.randrange(PARTITIONS)
        producer.produce(topic.name, value, key, place, headers=[("é" * 9, b"\xff")])
    producer.flush(30)


def let_strangers_write_what_no_library_would(arena: Arena) -> None:
    """Append records whose headers have names that are no text."""
    strange = batch([record(b"\xe9", b"hello", [(b"caf\xe9-", b"\xff"), (b"", None)])])
    topic, place = arena.draw.choice(TOPICS).name, arena.draw.randrange(PARTITIONS)
    asyncio.run(append(arena.where.brokers, topic, place, strange))


def write_into_the_changelog(arena: Arena) -> None:
    """Copy records of one partition to another, and let somebody restore from that."""
    origin, target = arena.draw.sample(range(PARTITIONS), 2)
    copy_between_partitions(arena.where.brokers, SEATS_CHANGELOG.name, origin, target, 20)
    if arena.draw.random() < 0.5:
        lose_the_disk(arena)


FAULTS: Mapping[str, Callable[[Arena], None]] = {
    function.__name__: function
    for function in (
        kill,
        kill_all,
        leave,
        pause,
        lose_the_disk,
        damage_the_stores,
        bring_older_stores_back,
        block_the_loop,
        die_at_a_place,
        fill_the_disk_of_a_worker,
        leave_no_memory,
        put_a_clock_wrong,
        let_append_times_leap,
        kill_the_broker,
        pause_the_broker,
        fill_the_disk_of_the_broker,
        cut_one_way,
        slow_down_the_link,
        lose_answers,
        hide_what_there_is,
        answer_with_error_codes,
        answer_fetches_with_error_codes,
        answer_for_the_group_wrongly,
        lose_the_registry,
        swap_the_registry,
        restore_a_backup,
        lose_the_status,
        leave_a_transaction_open,
        let_strangers_write,
        let_strangers_write_what_no_library_would,
        write_into_the_changelog,
    )
}


def has_let_go(arena: Arena) -> bool:
    """Say whether all is decided and nothing held, or something is wrong.

    No tick comes for what was held while append times were ahead, until that time is reached.
    """
    if not arena.is_at_rest():
        return False
    verdict = json.loads(arena.script("audit", "--json").stdout)
    return verdict["verdict"] == "wrong" or (verdict["verdict"] == "exact" and not verdict["held"])


def test_no_seat_is_lost_or_sold_twice_whatever_happens(tmp_path: Path) -> None:
    drawn = sorted(ONLY & FAULTS.keys() if ONLY else FAULTS)
    done: list[str] = []
    with arena_of(tmp_path, SEED) as arena:
        arena.keep_going()
        for worker in arena.workers:
            worker.wait_ready()
        end_s = time.monotonic() + SECONDS
        while time.monotonic() < end_s:
            name = arena.draw.choice(drawn)
            done.append(name)
            print(f"{SECONDS - (end_s - time.monotonic()):6.0f} s  {name}", flush=True)  # noqa: T201 - what a failure needs
            FAULTS[name](arena)
            arena.go_on_for(arena.draw.uniform(0.5, 6))
            arena.keep_going()
        tails = "\n".join(worker.tail() for worker in arena.workers)
        assert wait_until(lambda: has_let_go(arena), REST_S), tails
        assert [worker.terminate(60) for worker in arena.workers] == [0, 0]
        report = arena.script("audit", "--json")
        verdict = json.loads(report.stdout)
        assert verdict["verdict"] == "exact", f"{done}\n{report.stdout}"
        assert verdict["commands"] > 0
        assert verdict["held"] == 0, "seats are stranded"
