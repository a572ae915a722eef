"""Each allocation has slots to come until it ends, planned once, whatever the log and clock do."""

from collections import Counter
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.issuing.orders import CODECS, PARTITIONS

from schemas.topics import PERFORMANCE_SLOTS, SEATS_ALLOCATED
from serdes.avro.codegen import decoder
from serdes.wire import HEADER_BYTES
from state.domain.issued.purchase import purchase_id
from state.domain.issued.slots import TOP_UP_MS, Rules, Slot
from state.domain.keys import SLOTS, buyer_key, partition_of
from state.records.issued.codecs import PURCHASES, SlotWindow, slot_window
from streams.driver import TopologyDriver
from streams.schedule_slots import handler
from streams.schedule_slots.handler import Setup, route
from streams.settings import FIGURES, Figures
from streams.working.kept import WAITING
from topology import SCHEDULING

SOURCE, TO = SEATS_ALLOCATED.name, PERFORMANCE_SLOTS.name
RULES = Rules(UTC)
DAY_MS = 86_400_000
# A Friday, 17:00.
FRIDAY_MS = int(datetime(2026, 11, 27, 17, tzinfo=UTC).timestamp() * 1000)


class Told(NamedTuple):
    """A record about a slot."""

    is_scheduled: bool
    user: str
    revision: int
    allocation: str
    date: str
    time: str
    starts_ms: int


class Scheduling:
    """A driver of the role, from a Friday on."""

    def __init__(self, figures: Figures = FIGURES) -> None:
        self.driver = TopologyDriver(
            [route(SCHEDULING, Setup(CODECS, RULES), figures)],
            partitions=PARTITIONS,
            start_ms=FRIDAY_MS,
        )
        self.heard: list[Told] = []

    def hears(
        self, user: str, revision: int, status: str = "approved", allocation: str = ""
    ) -> None:
        key = buyer_key(7, user.encode())
        own_id = purchase_id(user.encode(), 7, partition_of(key, PARTITIONS)).encode()
        name = allocation or f"al-{user}"
        head = own_id, user.encode(), 7, revision
        self.driver.pipe(SOURCE, key, CODECS.allocated(*head, name.encode(), status.encode()))

    def told(self) -> list[Told]:
        """Return what was told since the last look."""
        found = []
        for record in self.driver.read(TO):
            kind = dict(record.headers)["event-type"]
            name = "SlotScheduled" if kind == b"SLOT_SCHEDULED" else "SlotCancelled"
            fields = decoder(PURCHASES + name)(record.value or b"", HEADER_BYTES)
            _, user, _, revision, allocation, date, time, starts_ms = fields
            is_scheduled = name == "SlotScheduled"
            own, day, at = allocation.decode(), date.decode(), time.decode()
            found.append(Told(is_scheduled, user.decode(), revision, own, day, at, starts_ms))
        self.heard += found
        return found

    def dates(self) -> list[str]:
        return [one.date for one in self.told()]

    def windows(self) -> dict[bytes, SlotWindow]:
        return {
            key: slot_window(stored)
            for partition in range(PARTITIONS)
            for key, stored in self.driver.stored(SOURCE, partition).items()
            if key.startswith(SLOTS)
        }

    def waiting(self) -> int:
        """Return how many timers are set."""
        stored = [self.driver.stored(SOURCE, number) for number in range(PARTITIONS)]
        return sum(key.startswith(WAITING) for one in stored for key in one)


def test_s002_4_an_allocation_has_seven_slots_at_16_oclock_and_none_at_weekends() -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    told = scheduling.told()
    assert [one.date for one in told] == [
        *("2026-11-30", "2026-12-01", "2026-12-02", "2026-12-03", "2026-12-04"),
        *("2026-12-07", "2026-12-08"),
    ]
    assert {(one.is_scheduled, one.time, one.allocation) for one in told} == {
        (True, "16:00", "al-ann")
    }
    monday_ms = int(datetime(2026, 11, 30, 16, tzinfo=UTC).timestamp() * 1000)
    assert told[0].starts_ms == monday_ms


def test_s002_4_it_is_filled_up_to_seven_once_fewer_than_three_are_left_and_goes_on() -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    assert len(scheduling.told()) == 7
    # On Friday the 4th at 15:00 there are three left.
    scheduling.driver.advance(7 * DAY_MS - 2 * 3_600_000, step_ms=TOP_UP_MS)
    assert scheduling.told() == []
    # Behind its slot there are two.
    scheduling.driver.advance(3 * 3_600_000 + TOP_UP_MS, step_ms=3_600_000)
    assert scheduling.dates() == [
        *("2026-12-09", "2026-12-10", "2026-12-11", "2026-12-14", "2026-12-15"),
    ]
    [window] = scheduling.windows().values()
    assert len(window.slots) == 7


def test_the_same_allocation_again_fills_its_window_and_plans_no_slot_twice() -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    scheduling.driver.advance(4 * DAY_MS, step_ms=TOP_UP_MS)
    scheduling.hears("ann", 2)
    scheduling.hears("ann", 2)
    scheduling.hears("ann", 1)
    told = scheduling.told()
    assert [one.date for one in told[7:]] == ["2026-12-09", "2026-12-10"]
    assert scheduling.waiting() == 1


def test_an_allocation_that_ends_loses_its_slots_to_come_and_is_looked_at_no_more() -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    scheduling.hears("bob", 1)
    scheduling.driver.advance(4 * DAY_MS, step_ms=TOP_UP_MS)
    assert len(scheduling.told()) == 14
    scheduling.hears("ann", 3, "ended")
    told = scheduling.told()
    # Monday's has been; Tuesday's has not begun at 17:00, for that is over too.
    assert [one.date for one in told] == [
        *("2026-12-02", "2026-12-03", "2026-12-04", "2026-12-07", "2026-12-08"),
    ]
    assert {(one.is_scheduled, one.user, one.revision) for one in told} == {(False, "ann", 3)}
    scheduling.driver.advance(30 * DAY_MS, step_ms=TOP_UP_MS)
    assert {one.user for one in scheduling.told()} == {"bob"}
    assert scheduling.waiting() == 1
    # Later words of before its end change nothing.
    scheduling.hears("ann", 2)
    assert scheduling.told() == []


def test_another_allocation_takes_the_place_of_the_one_before() -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    scheduling.hears("ann", 4, allocation="al-new")
    told = scheduling.told()[7:]
    assert Counter((one.is_scheduled, one.allocation) for one in told) == {
        (False, "al-ann"): 7,
        (True, "al-new"): 7,
    }
    scheduling.hears("ann", 5, "ended", allocation="al-new")
    scheduling.hears("ann", 6, allocation="al-new")
    assert [one.is_scheduled for one in scheduling.told()] == [False] * 7 + [True] * 7


def test_after_a_long_silence_a_window_begins_anew_behind_today() -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    scheduling.driver.advance(60 * DAY_MS)
    told = scheduling.told()[7:]
    assert [one.date for one in told[:2]] == ["2027-01-27", "2027-01-28"]
    assert len(told) == 7


def fails(*_: object) -> tuple[Slot, ...]:
    raise ValueError("no such zone")


def test_a_look_that_fails_for_good_is_a_dead_letter_and_the_looks_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    with monkeypatch.context() as patched:
        patched.setattr(handler, "topped_up", fails)
        scheduling.driver.advance(10 * DAY_MS, step_ms=3_600_000)
    assert {one.reason for one in scheduling.driver.dead_letters} == {"ATTEMPTS_EXHAUSTED"}
    assert len(scheduling.told()) == 7
    scheduling.driver.advance(2 * TOP_UP_MS, step_ms=3_600_000)
    assert len(scheduling.told()) > 0
    assert scheduling.waiting() == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_its_dead_letter_sent_again_has_the_window_filled_whether_its_event_is_known_or_not(
    monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    scheduling = Scheduling(FIGURES if is_known else Figures(inbox_retention_ms=3_600_000))
    scheduling.hears("ann", 1)
    letters = scheduling.driver.dead_letters
    with monkeypatch.context() as patched:
        patched.setattr(handler, "topped_up", fails)
        scheduling.driver.advance(9 * DAY_MS, step_ms=3_600_000)
        before = len(letters)
        while len(letters) == before:
            scheduling.driver.advance(3_600_000)
    scheduling.driver.advance(3 * 3_600_000, step_ms=3_600_000)
    # Sunday: two are to come, and the next look is three hours away.
    assert len(scheduling.told()) == 7
    assert len({one.record.value for one in letters}) == 1
    key, value = letters[0].record.key, letters[0].record.value
    assert key is not None
    for _ in range(2):
        scheduling.driver.pipe(SOURCE, key, value)
        scheduling.driver.advance(1)
    assert len(scheduling.told()) == 5
    assert scheduling.waiting() == 1


KINDS = {1: "approved", 2: "approved", 3: "ended", 4: "active", 5: "ended"}


@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "bob"]), st.integers(1, 5), st.integers(0, 40)),
        max_size=10,
    )
)
def test_no_allocation_has_two_slots_at_one_time_and_who_has_ended_has_none(
    steps: list[tuple[str, int, int]],
) -> None:
    scheduling = Scheduling()
    for user, revision, hours in steps:
        scheduling.hears(user, revision, KINDS[revision])
        scheduling.driver.advance(hours * 3_600_000 + 1, step_ms=TOP_UP_MS)
    scheduling.told()
    planned: Counter[tuple[str, str, str]] = Counter()
    for one in scheduling.heard:
        planned[one.allocation, one.date, one.time] += 1 if one.is_scheduled else -1
        assert planned[one.allocation, one.date, one.time] in {0, 1}
    newest: dict[str, int] = {}
    for user, revision, _ in steps:
        newest[user] = max(revision, newest.get(user, 0))
    kept = {f"al-{user}" for user, revision in newest.items() if KINDS[revision] != "ended"}
    now_ms = scheduling.driver.log_time_ms
    to_come = {
        one.allocation
        for one in scheduling.heard
        if planned[one.allocation, one.date, one.time] and one.starts_ms > now_ms
    }
    assert to_come == kept
    assert scheduling.waiting() == len(kept)
    for partition in range(PARTITIONS):
        if log := scheduling.driver.log(SOURCE, partition):
            scheduling.driver.replay(SOURCE, partition, log)
    assert scheduling.told() == []


def test_what_lies_under_another_key_or_cannot_be_read_is_one_dead_letter() -> None:
    scheduling = Scheduling()
    value = CODECS.allocated(b"a" * 26 + b"-0", b"ann", 7, 1, b"al", b"approved")
    scheduling.driver.pipe(SOURCE, b"7-bob", value)
    scheduling.driver.pipe(SOURCE, b"7-bob", b"rubbish")
    reasons = [letter.reason for letter in scheduling.driver.dead_letters]
    assert reasons == ["KEY_MISMATCH", "BAD_WIRE_HEADER"]


def test_none_of_its_store_is_anothers_and_all_of_it_can_be_read() -> None:
    scheduling = Scheduling()
    scheduling.hears("ann", 1)
    made = route(SCHEDULING, Setup(CODECS, RULES))
    assert made.may_store is not None
    assert made.contradiction is not None
    for partition in range(PARTITIONS):
        items = scheduling.driver.stored(SOURCE, partition)
        assert all(made.may_store(key, partition, PARTITIONS) for key in items)
        assert made.contradiction(items.items(), partition, PARTITIONS) == ""
    assert not made.may_store(SLOTS + b"a" * 26 + b"-9", 0, PARTITIONS)
    assert (made.role, made.source, made.to) == (
        *("schedule_slots", "seats-allocated", ("performance-slots",)),
    )
