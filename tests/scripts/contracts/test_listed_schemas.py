"""An empty registry gets the ids of a list, or nothing where it cannot."""

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.records.registry_fake import fake_registry

from schemas.topics import subjects
from scripts.contracts.listed_schemas import CannotList, register_listed
from serdes.avro.schema_files import current
from serdes.registry.client import Registry, fetch_ids
from serdes.registry.known_ids import KnownId

CONFIRM = "io.seatstream.commands.ConfirmReservation"
FIRST = 40


@settings(max_examples=of_whole(5))
@given(st.permutations(sorted(set(subjects().values()))), st.lists(st.integers(0, 3)))
def test_s2_an_empty_registry_gets_the_ids_of_any_list(
    records: list[str], gaps: list[int]
) -> None:
    ids = accumulate(1 + (gaps[n] if n < len(gaps) else 0) for n in range(len(records)))
    listed = [
        KnownId(number, record, current().fingerprint(record), "the list")
        for number, record in zip(ids, records, strict=True)
    ]
    with fake_registry() as fake:
        registry = Registry(fake.url)
        register_listed(registry, reversed(listed))
        found = fetch_ids(registry)
        assert {one.schema_id: one.record for one in found.known()} == {
            one.schema_id: one.record for one in listed
        }
        with pytest.raises(CannotList, match="is not empty"):
            register_listed(registry, listed)


def test_s2_a_list_that_cannot_be_given_writes_nothing() -> None:
    known = KnownId(3, CONFIRM, current().fingerprint(CONFIRM), "the list")
    # It counts from elsewhere.
    with fake_registry(first_id=FIRST) as fake:
        for one, why in (
            (replace(known, schema_id=200_000), "import mode"),
            (replace(known, fingerprint="0" * 64), "run the newest version"),
        ):
            with pytest.raises(CannotList, match=why):
                register_listed(Registry(fake.url), [one])
        assert fake.requests == []
        with pytest.raises(CannotList, match="does not count from 1"):
            register_listed(Registry(fake.url), [known])
