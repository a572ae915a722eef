"""Where a state stands, and what was given up before; moving a group is shown on brokers."""

from support.logs.audit_logs import AVRO

from schemas.topics import PAYMENT_COMMANDS
from scripts.brokers.lost_commands import BY_SOURCE, PAYMENTS, SEATS, _given_up
from state.domain.keys import PROGRESS_KEY
from state.stores.envelope import pack
from state.stores.memory import MemoryStore
from state.stores.partition_state import SKIPPED_KEY, Changes
from streams.runtime.ownership.timeline import pack_pairs
from streams.take_payments.fold import PaymentFold


def store_with(*pairs: tuple[int, int]) -> MemoryStore:
    store = MemoryStore(5)
    if pairs:
        record = pack(pack_pairs(list(pairs)), seed=store.seed, order=store.order)
        store.apply(Changes([(SKIPPED_KEY, record)], [], {}, [], 0), None)
    return store


def test_the_progress_of_the_seats_says_which_command_is_next() -> None:
    fields = {"nextOffset": 41, "logTimeMs": 1, "timerMs": 1, "logicVersion": 1}
    assert SEATS.progress_key == PROGRESS_KEY
    assert SEATS.next_offset(AVRO.encode("Progress", fields)) == 41


def test_payments_have_their_own_commands_and_state_and_the_same_progress() -> None:
    assert BY_SOURCE[PAYMENT_COMMANDS.name] == PAYMENTS
    assert (PAYMENTS.changelog, PAYMENTS.dead_letters) == ("purchases-changelog", SEATS[2])
    assert PAYMENTS.progress_key == PaymentFold.progress_key


def test_what_was_given_up_before_is_read_from_the_state() -> None:
    assert _given_up(store_with()) == []
    assert _given_up(store_with((3, 9), (20, 21))) == [(3, 9), (20, 21)]
