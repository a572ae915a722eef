"""Which records of a changelog reach the store: ours, in order; everything else is counted."""

from collections.abc import Sequence
from typing import Any

from state.stores.envelope import pack, seed_of, tombstone
from state.stores.memory import MemoryStore
from streams.driver import PipedRecord
from streams.runtime.ownership.changelog import ChangelogReader

TOPIC = "changelog"
HERE, ELSEWHERE = seed_of(TOPIC, 0), seed_of(TOPIC, 1)

Pair = tuple[Any, ...]


def owns(key: bytes, partition: int, partitions: int) -> bool:
    return key.startswith(b"%d-" % partition)


def read(
    pairs: Sequence[Pair], store: MemoryStore | None = None
) -> tuple[MemoryStore, ChangelogReader]:
    """Read (key, value) or (key, value, headers) from the end of a store on."""
    store = MemoryStore(HERE) if store is None else store
    reader = ChangelogReader(TOPIC, 0, store, 2, owns)
    begin = store.changelog_offset
    records = [
        PipedRecord(TOPIC, 0, begin + number, 0, pair[0], pair[1], tuple(pair[2:] and pair[2]))
        for number, pair in enumerate(pairs)
    ]
    store.apply(reader.changes(records), begin + len(records))
    return store, reader


def ours(key: bytes, payload: bytes, order: int) -> Pair:
    return key, pack(payload, seed=HERE, order=order)


def test_b81_a_deletion_by_a_stranger_deletes_nothing_and_ours_does() -> None:
    store, reader = read(
        [ours(b"0-a", b"1", 1), (b"0-a", None), (b"0-a", None, [("deletion", None)])]
    )
    assert (list(store.stored), dict(reader.refused)) == ([b"0-a"], {"deletion": 2})
    assert reader.in_doubt() == []
    store, reader = read([ours(b"0-a", b"1", 1), tombstone(b"0-a", HERE, 2)])
    assert (list(store.stored), dict(reader.refused)) == ([], {})


def test_b81_a_deletion_that_was_copied_to_another_key_or_place_deletes_nothing() -> None:
    _, _, headers = tombstone(b"0-b", HERE, 2)
    _, _, foreign = tombstone(b"0-a", ELSEWHERE, 2)
    store, reader = read([ours(b"0-a", b"1", 1), (b"0-a", None, headers), (b"0-a", None, foreign)])
    assert (list(store.stored), dict(reader.refused)) == ([b"0-a"], {"deletion": 1, "place": 1})
    assert reader.in_doubt() == []


def test_b81_a_copy_of_another_partition_leaves_nothing_in_doubt_be_it_a_deletion() -> None:
    """Under keys that tell no partition, as those of payments."""
    _, _, headers = tombstone(b"0-b", ELSEWHERE, 3)
    _, reader = read([ours(b"0-a", b"1", 1), (b"0-b", None, headers)])
    assert (dict(reader.refused), reader.in_doubt()) == ({"place": 1}, [])
    _, reader = read([ours(b"0-a", b"1", 1), (b"0-b", pack(b"2", seed=ELSEWHERE, order=3))])
    assert (dict(reader.refused), reader.in_doubt()) == ({"place": 1}, [])
    # Of another key, or of nobody, it may have taken the place of a value of ours.
    for said in (headers, []):
        _, reader = read([ours(b"0-a", b"1", 1), (b"0-c", None, said)])
        assert (dict(reader.refused), len(reader.in_doubt())) == ({"deletion": 1}, 1)


def test_b81_an_older_value_does_not_replace_a_newer_one() -> None:
    former = ours(b"0-a", b"1", 1)
    store, reader = read([former, ours(b"0-a", b"2", 2), former])
    assert store.stored[b"0-a"] == pack(b"2", seed=HERE, order=2)
    assert (dict(reader.refused), reader.in_doubt()) == ({"order": 1}, [])


def test_b81_an_older_value_that_compaction_left_alone_is_in_doubt() -> None:
    _, reader = read([ours(b"0-b", b"2", 2), ours(b"0-a", b"1", 1)])
    [why] = reader.in_doubt()
    assert "offset 1" in why


def test_b81_three_megabytes_of_noise_are_one_refused_record() -> None:
    _, reader = read([ours(b"0-a", b"1", 1), (b"1-a", b"n" * 3_000_000)])
    assert (dict(reader.refused), reader.in_doubt()) == ({"damaged": 1}, [])


def test_f42_what_cannot_be_read_is_in_doubt_until_a_value_of_ours_follows() -> None:
    _, reader = read([ours(b"0-a", b"1", 1), (b"0-a", b"noise")])
    assert len(reader.in_doubt()) == 1
    _, reader = read([ours(b"0-a", b"1", 1), (b"0-a", b"noise"), ours(b"0-a", b"1", 1)])
    assert reader.in_doubt() == []


def test_f42_a_copy_of_an_older_value_takes_nothing_unreadable_out_of_doubt() -> None:
    former, newer = ours(b"0-a", b"1", 1), ours(b"0-a", b"2", 2)
    damaged = (b"0-a", newer[1][:-1] + bytes([newer[1][-1] ^ 1]))
    _, reader = read([former, damaged, ours(b"0-b", b"3", 3), former])
    assert dict(reader.refused) == {"damaged": 1, "order": 1}
    [why] = reader.in_doubt()
    assert "offset 1" in why
    _, reader = read([former, damaged, ours(b"0-b", b"3", 3), former, ours(b"0-a", b"4", 4)])
    assert reader.in_doubt() == []


def test_f42_a_store_that_has_all_that_was_written_doubts_nothing() -> None:
    store, _ = read([ours(b"0-a", b"1", 1)])
    _, reader = read([(b"0-a", b"noise")], store)
    assert (dict(reader.refused), reader.in_doubt()) == ({"damaged": 1}, [])


def test_many_refused_records_are_counted_and_few_are_named() -> None:
    _, reader = read([(b"1-%d" % number, b"noise") for number in range(100)])
    assert (reader.refused["damaged"], len(reader.named)) == (100, 5)
