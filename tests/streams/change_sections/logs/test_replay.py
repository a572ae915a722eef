"""What must hold for any log: replay, batch borders, restarts, eviction, conservation."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.examples import of_whole
from support.seats.section_commands import (
    CODECS,
    Pair,
    Partition,
    confirm,
    extend,
    fail_payment,
    guarded_tick,
    hold,
    hold_chosen,
    logs,
    open_section,
    opened,
    pairs,
    refund_seats,
    release,
    sale_window,
    start_payment,
    tick,
    told,
)

from state.domain.layout import TIME_MS_MAX, OrphanRule
from state.domain.reservation import Status
from state.records.names import SectionLayout
from state.records.reservation import read_reservation
from state.records.section import read_section
from state.stores.partition_state import PartitionState
from state.stores.rocksdb import RocksDBStores, StoreMemory
from streams.change_sections import change_sections
from streams.driver import PipedRecord
from streams.folding.progress import read_progress


def folded(log: list[PipedRecord], cuts: list[int] | None = None) -> Partition:
    """Fold a log in batches that end at `cuts`; all at once by default."""
    partition = Partition(log=list(log))
    begin = 0
    for end in sorted({*(cuts or []), len(log)}):
        if begin < end <= len(log):
            partition.fold(log[begin:end])
            begin = end
    return partition


def assert_equal(one: Partition, other: Partition) -> None:
    assert one.outcomes == other.outcomes
    assert one.kept() == other.kept()
    assert one.last_statuses() == other.last_statuses()
    assert one.payments == other.payments
    assert one.dead == other.dead


@given(logs(), st.lists(st.integers(1, 42)))
def test_batch_borders_change_nothing(log: list[PipedRecord], cuts: list[int]) -> None:
    assert_equal(folded(log), folded(log, cuts))


@given(logs())
def test_one_record_a_batch_changes_nothing(log: list[PipedRecord]) -> None:
    assert_equal(folded(log), folded(log, list(range(len(log)))))


@given(logs(), st.lists(st.integers(1, 42)))
def test_restarts_and_eviction_change_nothing(log: list[PipedRecord], cuts: list[int]) -> None:
    """No section stays decoded between batches, as if a worker took over each time."""
    evicting = Partition(handler=change_sections(CODECS, cached_seats_max=0), log=list(log))
    restarted = Partition(log=list(log))
    kept = folded(log, cuts)
    begin = 0
    for end in sorted({*cuts, len(log)}):
        if begin < end <= len(log):
            evicting.fold(log[begin:end])
            restarted.forget()
            restarted.fold(log[begin:end])
            begin = end
    assert_equal(kept, evicting)
    assert_equal(kept, restarted)


@settings(max_examples=of_whole(10))
@given(logs(), st.integers(1, 9))
def test_both_stores_come_to_the_same(log: list[PipedRecord], size: int) -> None:
    """What is due is in it: a hold that waits for its money is so in neither."""
    with TemporaryDirectory() as directory:
        stores = RocksDBStores(Path(directory), StoreMemory(1 << 20, 1 << 20))
        store = stores.open("seats-changelog", 0, "identity")
        both = Partition(log=list(log)), Partition(log=list(log))
        both[1].state = PartitionState(store)
        for partition in both:
            for begin in range(0, len(log), size):
                partition.fold(log[begin : begin + size])
            partition.now_ms = log[-1].timestamp + 60_000
            partition.send(tick(partition.now_ms), guarded_tick(partition.now_ms))
        memory, rocksdb = both
        assert rocksdb.outcomes == memory.outcomes
        assert rocksdb.payments == memory.payments
        assert list(rocksdb.state.stored_items()) == list(memory.state.stored_items())
        store.close()


@given(logs(), st.integers(0, 41), st.data())
def test_f34_a_rewound_group_emits_the_same_bytes_and_changes_nothing(
    log: list[PipedRecord], to: int, data: st.DataObject
) -> None:
    partition = folded(log)
    before = partition.kept()
    applied = list(partition.outcomes)
    payments = list(partition.payments)
    partition.outcomes.clear()
    partition.statuses.clear()
    partition.payments.clear()
    partition.fold(log[to:])
    assert partition.kept() == before
    assert partition.statuses == []
    assert partition.decisions.keys() >= ({"REPEATED"} if partition.outcomes else set())
    # In the order of the log, nothing new, and nothing that was decided before `to`.
    for once, again in ((applied, partition.outcomes), (payments, partition.payments)):
        positions = iter(once)
        assert all(value in positions for value in again)
    offsets = [int(told(value).outcomeId.split(b":")[2]) for value in partition.outcomes]
    assert all(offset >= to for offset in offsets)
    # Input goes on behind what was applied as if nothing had happened.
    more = data.draw(pairs)
    straight = folded(log)
    records = straight.append(more)
    expected = straight.fold(records)
    both = partition.fold([*log[to:], *records])
    assert both[len(both) - len(expected) :] == expected
    assert partition.kept() == straight.kept()


def test_f34_every_stored_outcome_of_a_rewound_record_is_emitted_again() -> None:
    partition = opened("......", hold_ms=60_000, max_hold_ms=90_000)
    partition.send(hold("r1", 2), hold("r2", 1), hold("r3", 1), hold("r4", 9))
    partition.now_ms += 1
    partition.send(confirm("r1"), release("r2"), extend("r3"), release("r5"), hold("r1", 3))
    partition.pass_ms(60_001)
    partition.send(confirm("r3"))
    applied = list(partition.outcomes)
    again = partition.fold(partition.log)
    # Not again: the opening, the conflict, and the lapse, which a tick decided.
    opening, conflict, lapse = applied[0], applied[9], applied[10]
    assert told(conflict).name == "CommandRefused"
    assert told(lapse).reservation == "r3"
    assert again == [value for value in applied if value not in {opening, conflict, lapse}]


def test_f34_what_payments_were_told_is_told_again_in_the_same_bytes() -> None:
    partition = opened("......", currency="EUR", amounts=(4_500,))
    partition.send(hold("r1", 2), hold("r2", 1), hold("r3", 1))
    partition.send(start_payment("r1"), start_payment("r2"), start_payment("r3"))
    partition.send(confirm("r1"), fail_payment("r2"), confirm("r3"), refund_seats("r3"))
    partition.send(confirm("r2"))
    told_once, outcomes = list(partition.payments), list(partition.outcomes)
    assert len(told_once) == 8
    again = partition.fold(partition.log)
    assert again == outcomes[1:]
    assert partition.payments == [*told_once, *told_once]


def recorded_log() -> list[PipedRecord]:
    """Return a fixed log that meets most rules."""
    partition = Partition()
    rows = "........\n....|....\n......"
    partition.append(open_section(rows, rule=OrphanRule.PREFER, hold_ms=3_000, max_hold_ms=9_000))
    for number in range(200):
        partition.now_ms += number * 37 % 400
        reservation = f"r{number * 7 % 90}"
        kind = number * 13 % 11
        chain: list[Pair] = [
            hold(reservation, number % 4),
            hold_chosen(reservation, [(number % 3, number % 8), (0, 0)]),
            confirm(reservation),
            release(reservation),
            extend(reservation, correlation=str(number)),
            tick(partition.now_ms),
        ]
        partition.append(chain[min(kind, 5)] if kind < 8 else chain[0])
        if number % 40 == 39:
            # Closed for some records, then open again.
            partition.append(sale_window(0, partition.now_ms))
        elif number % 40 == 2:
            partition.append(sale_window(partition.now_ms - 1, 0))
    return partition.log


def digest() -> str:
    """Return a digest of everything that folding the recorded log leads to."""
    partition = folded(recorded_log(), [17, 60, 61, 150])
    parts = [*partition.outcomes, *(value for _, value in partition.statuses)]
    for key, (payload, due_ms) in partition.kept().items():
        parts += [key, payload, b"%d" % due_ms]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def test_replay_gives_the_same_bytes_under_any_hash_seed() -> None:
    root = Path(__file__).parents[3]
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import test_replay as replay; print(replay.digest())"
    )
    expected = digest()
    assert digest() == expected
    for seed in ("0", "4711"):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                program,
                str(root),
                str(root / "tests"),
                str(Path(__file__).parent),
            ],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == expected


class PartitionLife(RuleBasedStateMachine):
    """Any commands in any order; after each, the store must account for every seat."""

    @initialize(rule=st.sampled_from(OrphanRule))
    def open(self, rule: OrphanRule) -> None:
        self.partition = opened(
            "......\n...|...\n.....",
            rule=rule,
            hold_ms=2_000,
            max_hold_ms=6_000,
            currency="EUR",
            amounts=(4_500, 0),
        )
        self.versions: dict[bytes, int] = {}

    @rule(pair=pairs)
    def send(self, pair: Pair) -> None:
        self.partition.send(pair)

    @rule(batch=st.lists(pairs, min_size=2, max_size=6))
    def send_batch(self, batch: list[Pair]) -> None:
        self.partition.send(*batch)

    @rule(ms=st.sampled_from([1, 1_500, 7_000]))
    def wait(self, ms: int) -> None:
        self.partition.pass_ms(ms)

    @rule()
    def restart(self) -> None:
        self.partition.forget()

    @invariant()
    def every_seat_has_at_most_one_holder_and_every_count_is_right(self) -> None:
        stored = self.partition.stored()
        reservations = [
            read_reservation(CODECS, value) for key, value in stored.items() if key[:1] == b"r"
        ]
        for key, value in stored.items():
            if key[:1] != b"s":
                continue
            known = read_section(CODECS, key[1:], stored[b"l" + key[1:]], value)
            section = known.section
            blocked = stored.get(b"b" + key[1:])
            taken = (
                [0] * len(section.rows)
                if blocked is None
                else section.layout.unpack(CODECS.read_blocked(blocked, 0)[0])
            )
            assert sum(map(int.bit_count, taken)) == section.blocked_count
            counts = {Status.HELD: 0, Status.PAYING: 0, Status.SOLD: 0}
            for held in reservations:
                if held.section_id != known.section_id or held.status not in counts:
                    continue
                for row, first, count in held.seats:
                    mask = ((1 << count) - 1) << first
                    assert not taken[row] & mask, "two holders"
                    taken[row] |= mask
                    counts[Status(held.status)] += count
            assert section.is_conserved()
            waiting = counts[Status.HELD] + counts[Status.PAYING]
            assert (section.held_count, section.sold_count) == (waiting, counts[Status.SOLD])
            for row, seats in enumerate(section.layout.seat_counts):
                assert section.rows[row] == ((1 << seats) - 1) & ~taken[row]
            assert section.version >= self.versions.get(key, 0)
            self.versions[key] = section.version

    @invariant()
    def the_window_in_memory_is_the_one_in_the_store(self) -> None:
        cached = self.partition.state.cache.get("sections")
        for known in cached.by_key.values() if cached else ():
            layout = CODECS.read_layout(self.partition.stored()[b"l" + known.key], 0)
            opened = SectionLayout._make(layout)
            starts_ms, ends_ms = opened.sale_starts_ms, opened.sale_ends_ms
            rules = known.section.rules
            assert (rules.sale_starts_ms, rules.sale_ends_ms) == (starts_ms, ends_ms)
            assert (known.sale_starts_ms, known.sale_ends_ms) == (
                starts_ms,
                ends_ms or TIME_MS_MAX + 1,
            )

    @invariant()
    def nothing_is_held_beyond_its_deadline(self) -> None:
        progress = read_progress(self.partition.stored()[b"p"])
        horizon = min(progress.log_time_ms, progress.timer_ms + 5_000)
        for key, value in self.partition.stored().items():
            if key[:1] == b"r":
                held = read_reservation(CODECS, value)
                assert held.status != Status.HELD or held.deadline_ms > horizon


TestPartitionLife = PartitionLife.TestCase
TestPartitionLife.settings = settings(stateful_step_count=30)
