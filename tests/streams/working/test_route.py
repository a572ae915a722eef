"""A piece of work as a route: two groups on one topic, batches of any size, poison, rewinds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.workers.lives import Lives
from support.workers.postings import DONE, SOURCE, Office, headers

from streams.batch import Batch
from streams.driver import PipedRecord, TopologyDriver
from streams.gateways.webhooks import Secrets
from streams.intents import Answer, Result, intent_of
from streams.working.answers import BAD_ANSWER, tell
from streams.working.fold import WorkFold
from streams.working.kept import LINE, WAITING
from streams.working.work import Work


def test_a_role_is_a_word() -> None:
    with pytest.raises(ValueError, match="is no role"):
        Work("a b", SOURCE, lambda _: None)


def test_two_groups_on_one_topic_both_act_and_hear_their_own_answers_only() -> None:
    """Each has a store of its own; of the other's answers and ticks it takes no harm."""
    one, other = Office(calls=True), Office(calls=True, role="cache")
    for office in (one, other):
        office.order("ann", "e1", correlation="c", kind="BOUGHT")
    [pending] = one.driver.intents(SOURCE)
    said = Answer(result=Result.ANSWERED, payload=b"said")
    told = one.driver.answer(pending, said)
    other.driver.pipe(SOURCE, told.key, told.value, partition=0)
    other.driver.advance(10)
    assert (one.posted("ann"), other.posted("ann")) == (["e1"], [])
    assert other.answer_all() == 1
    assert other.posted("ann") == ["e1"]
    assert other.letters() == []


SEAL = Secrets(b"a secret of the workers")
SAID = Answer(result=Result.ANSWERED, payload=b"said")


def test_a_stranger_on_the_topic_cannot_answer_a_call() -> None:
    office = Office(calls=True, seal=SEAL)
    office.order("ann", "e1")
    [pending] = office.driver.intents(SOURCE)
    for seal in (None, Secrets(b"a secret of a stranger")):
        forged = tell("post", seal, pending.intent, SAID)
        office.driver.pipe(SOURCE, *forged, partition=0)
    assert office.posted("ann") == []
    assert [reason for _, reason, _ in office.letters()] == [BAD_ANSWER] * 2
    assert office.answer_all() == 1
    assert office.posted("ann") == ["e1"]


def test_a_forged_answer_that_kills_is_no_failed_attempt_at_the_event() -> None:
    office = Office(calls=True, seal=SEAL)
    office.order("ann", "e1")
    [pending] = office.driver.intents(SOURCE)
    record = PipedRecord(SOURCE, 0, 1, 1, *tell("post", None, pending.intent, SAID))
    batch = Batch(SOURCE, 0, 1, [record], frozenset())
    state = office.driver.state(SOURCE, 0)
    assert office.route.refuse is not None
    effects = office.route.refuse(batch, state, record, 1)
    assert effects.dead_letters == []
    assert intent_of(state, pending.intent.id) == pending.intent


def test_an_answer_to_another_event_at_the_same_place_of_another_partition_is_stale() -> None:
    """Records without a key are known by their offsets, which partitions have in common."""
    office = Office(calls=True, seal=SEAL)
    office.driver.pipe(SOURCE, None, b"v", partition=0, headers=headers("e1"))
    [pending] = office.driver.intents(SOURCE)
    foreign = replace(pending.intent, idempotency_key="post:e2")
    office.driver.pipe(SOURCE, *tell("post", SEAL, foreign, SAID), partition=0)
    assert office.posted("") == []
    assert office.answer_all() == 1
    assert office.posted("") == ["v"]


def test_what_waits_and_cannot_be_read_contradicts_a_state() -> None:
    office = Office(calls=True)
    office.order("ann", "e1")
    find = office.route.contradiction
    assert find is not None
    items = {
        key: value
        for key, value in office.driver.stored(SOURCE, 0).items()
        if key.startswith(b"\xfc")
    }
    assert {key[:2] for key in items} == {LINE, WAITING, WorkFold.progress_key}
    assert find(items.items(), 0, 1) == ""
    for key in items:
        assert "cannot be read" in find({**items, key: b"\xff"}.items(), 0, 1)


events = st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.integers(0, 3))


def folded(office: Office, records: Sequence[PipedRecord], size: int) -> dict[bytes, bytes]:
    """Fold records in batches of a size; return what is stored."""
    for begin in range(0, len(records), size):
        office.driver.replay(SOURCE, 0, records[begin : begin + size])
    return office.driver.stored(SOURCE, 0)


@given(st.lists(events, min_size=1, max_size=15), st.integers(1, 15))
def test_where_a_batch_ends_decides_nothing(
    given_events: list[tuple[str, int, int]], size: int
) -> None:
    records = []
    for offset, (key, number, later) in enumerate(given_events):
        at_ms = 1_700_000_000_000 + 900 * offset
        is_tick = later == 3
        records.append(
            PipedRecord(
                SOURCE,
                0,
                offset,
                at_ms,
                b"\0tick" if is_tick else key.encode(),
                b"%d" % at_ms if is_tick else b"v%d" % number,
                () if is_tick else headers(f"e{number}"),
            )
        )
    whole, parted = Office(), Office()
    for office in (whole, parted):
        office.fails.update({"e1": 1, "e2": 5})
    assert folded(whole, records, len(records)) == folded(parted, records, size)
    assert whole.letters() == parted.letters()
    assert [one.value for one in whole.driver.read(DONE)] == [
        one.value for one in parted.driver.read(DONE)
    ]


def test_f34_a_rewind_to_the_beginning_changes_nothing() -> None:
    office = Office()
    office.fails["a1"] = 1
    office.order("ann", "a1")
    office.order("ann", "a2")
    office.driver.advance(1_000)
    before = office.driver.stored(SOURCE, 0)
    office.driver.read(DONE)
    office.replay()
    assert office.driver.stored(SOURCE, 0) == before
    assert office.driver.read(DONE) == []


def refuse(driver: TopologyDriver, office: Office, record: PipedRecord) -> None:
    """Do as the runtime does with a record that no handler survived."""
    assert office.route.refuse is not None
    state = driver.state(SOURCE, 0)
    office.route.refuse(Batch(SOURCE, 0, 1, [record]), state, record, 0)
    state.write(state.seal(), None)
    state.release()


def test_f23_an_answer_that_nobody_survived_is_a_failed_attempt() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    office.order("ann", "a2")
    driver = office.driver
    for attempt in (1, 2, 3):
        [pending] = driver.intents(SOURCE)
        assert pending.intent.attempt == attempt
        assert office.route.answer is not None
        key, value = office.route.answer(pending.intent, Answer(result=Result.ANSWERED))
        at = len(driver.log(SOURCE, 0)) + attempt
        refuse(driver, office, PipedRecord(SOURCE, 0, at, driver.log_time_ms, key, value))
    # Who waited behind it has its turn with the next record.
    assert driver.intents(SOURCE) == []
    driver._log[SOURCE, 0].extend([driver._log[SOURCE, 0][0]] * 10)
    driver.advance(1)
    [pending] = driver.intents(SOURCE)
    assert pending.intent.idempotency_key == "post:a2"


def test_f23_progress_moves_over_any_record_that_nobody_survived() -> None:
    office = Office()
    record = PipedRecord(SOURCE, 0, 6, 1_700_000_000_000, b"ann", b"v")
    refuse(office.driver, office, record)
    assert office.route.progress is not None
    assert office.route.progress(office.driver.state(SOURCE, 0)).next_offset == 7


def values_of(lives: Lives) -> list[tuple[bytes | None, str]]:
    return [(letter.record.value, letter.reason) for letter in lives.letters]


def test_f23_who_kills_at_its_retry_is_blamed_itself(tmp_path: Path) -> None:
    """And neither the ticks and events that it was due at, nor who waits beside or behind it."""
    office = Office()
    lives = Lives(office, tmp_path / "journal.json")
    office.fails.update({"good": 1, "deadly": 1})
    office.kills.add("deadly")
    for key, event_id in (("bob", "good"), ("ann", "deadly"), ("ann", "behind")):
        lives.order(key, event_id)
    lives.now_ms += 1_000
    lives.order("eve", "honest")
    lives.live()
    assert lives.consumed() == {"honest"}
    for _ in range(20):
        lives.tick(500)
        lives.live()
    assert lives.consumed() == {"honest", "good", "behind"}
    assert values_of(lives) == [(b"deadly", "ATTEMPTS_EXHAUSTED")]
    assert lives.letters[0].detail == "no worker survived it"
    # Of each attempt three; three more before attempts are made alone.
    assert lives.deaths == 3 + 3 + 3


def test_f23_a_new_event_that_kills_counts_against_nobody_who_is_due(tmp_path: Path) -> None:
    office = Office()
    lives = Lives(office, tmp_path / "journal.json")
    office.fails["good"] = 2
    office.kills.add("deadly")
    lives.order("bob", "good")
    lives.now_ms += 1_000
    lives.order("ann", "deadly")
    lives.live()
    assert values_of(lives) == [(b"deadly", "QUARANTINED")]
    for _ in range(8):
        lives.tick(500)
        lives.live()
    assert lives.consumed() == {"good"}


def test_attempts_are_made_together_again_after_a_while(tmp_path: Path) -> None:
    office = Office()
    lives = Lives(office, tmp_path / "journal.json")
    office.fails["deadly"] = 1
    office.kills.add("deadly")
    lives.order("ann", "deadly")
    for _ in range(8):
        lives.tick(20_000)
        lives.live()
    assert lives.is_idle()


# Key, pause before it, failures before it succeeds or kills, whether it kills.
orders = st.tuples(
    st.sampled_from("ab"), st.integers(0, 1_500), st.integers(0, 2), st.integers(0, 2)
)


@settings(max_examples=25)
@given(st.lists(orders, min_size=1, max_size=6), st.booleans())
@example([("a", 0, 1, 0), ("a", 0, 0, 1), ("b", 1_000, 1, 1)], False)
def test_f23_only_what_kills_is_a_dead_letter_and_all_others_act(
    orders: list[tuple[str, int, int, int]], calls: bool
) -> None:
    """Whoever fails beside it, waits behind it, or brings the time that it is due at."""
    office = Office(calls=calls)
    for number, (_, _, fails, kills) in enumerate(orders):
        office.fails[f"e{number}"] = fails
        if not kills:
            office.kills.add(f"e{number}")
    with TemporaryDirectory() as folder:
        lives = Lives(office, Path(folder) / "journal.json")
        for number, (key, pause_ms, _, _) in enumerate(orders):
            lives.now_ms += pause_ms
            lives.order(key, f"e{number}")
            lives.live()
        for _ in range(100):
            if lives.is_idle():
                break
            lives.tick(5_000)
            lives.answer_all()
            lives.live()
    ids = {f"e{number}" for number in range(len(orders))}
    # An answer that kills is a dead letter too, as often as it is given; a tick never is.
    buried = [letter.record for letter in lives.letters if letter.record.headers]
    assert sorted((record.value or b"").decode() for record in buried) == sorted(office.kills)
    assert b"\0tick" not in {letter.record.key for letter in lives.letters}
    assert lives.consumed() == ids - office.kills
    assert lives.is_idle()
