"""An id has one schema for ever, whoever says so and in whatever order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serdes.registry.known_ids import (
    BRING_BACK,
    ContradictoryIdsError,
    KnownId,
    KnownIds,
    forgotten,
)

CONFIRM = "io.seatstream.commands.ConfirmReservation"
RELEASE = "io.seatstream.commands.ReleaseReservation"

SAID = st.builds(
    KnownId,
    schema_id=st.integers(1, 3),
    record=st.sampled_from([CONFIRM, RELEASE]),
    fingerprint=st.sampled_from(["", "a", "b"]),
    source=st.sampled_from(["first", "second"]),
)


def taken(said: list[KnownId]) -> KnownIds | None:
    known = KnownIds()
    try:
        known.add(said)
    except ContradictoryIdsError:
        return None
    return known


@given(st.lists(SAID, max_size=8))
def test_all_that_is_said_is_taken_in_where_no_two_sayings_contradict(said: list[KnownId]) -> None:
    by_id: dict[int, list[KnownId]] = {}
    for one in said:
        by_id.setdefault(one.schema_id, []).append(one)
    # Slowly: one name, and of those who know a fingerprint at most one.
    agree = all(
        len({one.record for one in of_id}) == 1
        and len({one.fingerprint for one in of_id} - {""}) <= 1
        for of_id in by_id.values()
    )
    known = taken(said)
    assert (known is not None) == agree
    if known is not None:
        assert {one.schema_id for one in known.all()} == set(by_id)
        for one in known.all():
            # Whoever knows the fingerprint is kept before one who does not.
            assert bool(one.fingerprint) == any(each.fingerprint for each in by_id[one.schema_id])


@given(st.lists(SAID, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_said_changes_nothing(
    said: list[KnownId], chance: random.Random
) -> None:
    shuffled = list(said)
    chance.shuffle(shuffled)
    assert (taken(said) is None) == (taken(shuffled) is None)


@given(SAID, SAID)
def test_two_sayings_contradict_each_other_or_none_does(one: KnownId, other: KnownId) -> None:
    assert one.contradicts(other) == other.contradicts(one)
    assert not one.contradicts(one)


def test_s2_what_contradicts_takes_nothing_in() -> None:
    known = KnownIds()
    known.add([KnownId(1, CONFIRM, "a", "first")])
    with pytest.raises(ContradictoryIdsError, match=r"first.*second"):
        known.add([KnownId(2, RELEASE, "b", "second"), KnownId(1, CONFIRM, "c", "second")])
    assert [one.schema_id for one in known.all()] == [1]


def test_a_check_takes_nothing_in() -> None:
    known = KnownIds()
    said = KnownId(1, CONFIRM, "a", "first")
    assert known.check([said]) == {1: said}
    assert known.all() == ()


def test_a_contradiction_says_both_names_both_sources_and_what_to_do() -> None:
    known = KnownIds()
    known.add([KnownId(7, CONFIRM, "a", "the cache")])
    with pytest.raises(ContradictoryIdsError) as told:
        known.add([KnownId(7, RELEASE, "b", "the registry")])
    assert (
        f"schema id 7 is {CONFIRM} according to the cache, and {RELEASE} according to the registry"
        in str(told.value)
    )
    assert BRING_BACK in str(told.value)
    with pytest.raises(ContradictoryIdsError, match="and another version of it according to"):
        known.add([KnownId(7, CONFIRM, "b", "the registry")])


def test_a_forgotten_id_names_the_registry_that_lacks_it() -> None:
    error = forgotten(KnownId(7, CONFIRM, "a", "the list"), "http://10.0.0.1")
    assert "the registry http://10.0.0.1 has no such id" in str(error)
    assert BRING_BACK in str(error)
