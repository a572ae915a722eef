"""Statuses are told again from the state, each as it stands."""

from support.seats.section_commands import (
    CODECS,
    PARTITIONS,
    A,
    B,
    Partition,
    hold,
    open_section,
    told,
)

from state.domain.keys import section_key
from streams.batch import Batch, Effects
from streams.change_sections import retold_statuses
from streams.runtime.transactions.retelling import Retelling, tell_oldest_again


def test_s6_every_section_is_told_again_with_its_version_decoded_or_not() -> None:
    partition = Partition()
    partition.send(open_section("......"), open_section("....", section=B), hold("r1", 2))
    before = partition.last_statuses()
    for forgets in (False, True):
        if forgets:
            partition.forget()
        retelling = Retelling(retold_statuses(CODECS), partition.state)
        effects = Effects()
        retelling.add_to(effects)
        assert dict(record[:2] for record in effects.outgoing["section-status"]) == before
        assert not retelling.is_wanted
    assert told(before[section_key(7, A)]).version == 2


def test_s6_what_is_on_its_way_to_the_store_is_told_too() -> None:
    partition = Partition()
    retelling = Retelling(retold_statuses(CODECS), partition.state)
    partition.state.put(b"x", b"1")
    first = partition.append(open_section("......"))
    # Decided and sealed, but not in the store yet.
    handler_effects = partition.handler(
        Batch("section-commands", 0, PARTITIONS, first), partition.state, 0
    )
    partition.state.seal()
    effects = Effects()
    retelling.add_to(effects)
    assert effects.outgoing["section-status"] == handler_effects.outgoing["section-status"]


def test_s6_many_sections_are_told_a_few_at_a_time() -> None:
    partition = Partition()
    names = [f"N{number}" for number in range(400)]
    for name in names:
        partition.send(open_section("..", section=name))
    retelling = Retelling(retold_statuses(CODECS), partition.state)
    found: list[bytes | None] = []
    while retelling.is_wanted:
        effects = Effects()
        retelling.add_to(effects)
        batch = effects.outgoing["section-status"]
        assert len(batch) <= 8
        found += [record[0] for record in batch]
    assert found == sorted(key for key in partition.last_statuses() if key is not None)


def test_s6_what_was_told_longest_ago_is_told_again_one_partition_at_a_time() -> None:
    first, second = Partition(), Partition()
    for partition in (first, second):
        partition.send(open_section("......"))
    retellings = [Retelling(retold_statuses(CODECS), one.state) for one in (first, second)]
    for retelling in retellings:
        while retelling.is_wanted:
            retelling.add_to(Effects())
    assert retellings[0].begun_s <= retellings[1].begun_s
    tell_oldest_again(retellings, age_s=3_600.0)
    assert [one.is_wanted for one in retellings] == [False, False]
    tell_oldest_again(retellings, age_s=0.0)
    assert [one.is_wanted for one in retellings] == [True, False]
    tell_oldest_again(retellings, age_s=0.0)
    assert [one.is_wanted for one in retellings] == [True, True]


def test_a_route_that_has_nothing_to_tell_again_never_does() -> None:
    retelling = Retelling(None, Partition().state)
    tell_oldest_again([retelling], age_s=0.0)
    assert not retelling.is_wanted
