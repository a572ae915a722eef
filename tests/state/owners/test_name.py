"""Names of owners: read by workers of before and after the address, and by pods."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.owners.name import address_of, generation_of, host_and_port, owner_name
from streams.runtime.transactions.transaction import transactional_ids

names = st.text("abcXYZ019._-", min_size=1, max_size=20)
hosts = st.one_of(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    st.ip_addresses().map(str),
)
addresses = st.builds(host_and_port, hosts, st.integers(1, 65_535))
generations = st.integers(0, 2**31 - 1)


def fenced_by_an_older_worker(metadata: str) -> tuple[str, str]:
    """Return the ids that a worker from before the address fences: all it reads is a prefix."""
    return f"{metadata}-a", f"{metadata}-b"


def generation_for_an_older_worker(metadata: str) -> int:
    last = metadata.rsplit("-", maxsplit=1)[-1]
    return int(last) if last.isdigit() else -1


@given(names, names, generations, st.one_of(st.just(""), addresses))
def test_older_and_newer_workers_fence_the_same_ids_and_read_the_same_generation(
    app_id: str, instance: str, generation: int, address: str
) -> None:
    name = owner_name(app_id, instance, generation, address)
    assert transactional_ids(name) == fenced_by_an_older_worker(name)
    assert generation_of(name) == generation_for_an_older_worker(name) == generation


@given(names, names, generations)
def test_without_an_address_the_name_is_the_one_of_before(
    app_id: str, instance: str, generation: int
) -> None:
    assert owner_name(app_id, instance, generation) == f"{app_id}-{instance}-{generation}"


@given(names, names, generations, addresses, st.text(max_size=5))
def test_the_address_is_read_whatever_follows_the_name(
    app_id: str, instance: str, generation: int, address: str, behind: str
) -> None:
    assert address_of(owner_name(app_id, instance, generation, address) + behind) == address


@given(names, names, generations, addresses)
def test_owners_of_different_generations_have_different_ids(
    app_id: str, instance: str, generation: int, address: str
) -> None:
    one = owner_name(app_id, instance, generation, address)
    next_one = owner_name(app_id, instance, generation + 1, address)
    assert not set(transactional_ids(one)) & set(transactional_ids(next_one))


@pytest.mark.parametrize(
    "metadata",
    ["", "app-instance-7", "app@", "app-@host;-7", "app@host:;-1", "app@host:123456;-1", "@:1;"],
)
def test_a_name_without_a_whole_address_has_none(metadata: str) -> None:
    assert address_of(metadata) == ""


@pytest.mark.parametrize(
    "metadata", ["", "somebody else", "app-instance-7x", "app-one-²", "app@host:80;"]
)
def test_a_name_that_is_none_of_ours_has_no_generation(metadata: str) -> None:
    assert generation_of(metadata) == -1


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    name = owner_name("seats", "one", 3, host_and_port("::1", 8080))
    assert name == "seats-one@[::1]:8080;-3"
    assert address_of(name) == "[::1]:8080"
