"""The benchmark of carts: what is computed, never how fast anything is; and that it runs."""

import json
from pathlib import Path

import pytest
from confluent_kafka import Message
from support.carts.carting import CODECS

from benchmarks.cart_runs.carting import SEATS_EACH, carts, is_held
from benchmarks.carts import QUICK, SCENARIOS, Sizes, main, parse
from benchmarks.pod_runs.arena import EVENT_ID, Arena
from schemas.topics import CART_COMMANDS, CARTS_CHANGELOG
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.carts.life import begin
from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.carts.values import Part
from state.domain.keys import CART, cart_key, is_cart_id, partition_of
from state.records.carts import CartEncoders, OpenCart
from state.stores import envelope

IDS = counted_ids()


def test_each_cart_is_of_its_buyer_s_partition_and_of_as_many_sections_as_were_wanted() -> None:
    made = list(carts(Arena(20), CartEncoders(IDS), 8, 50, "seed"))
    assert made == list(carts(Arena(20), CartEncoders(IDS), 8, 50, "seed"))
    read = TopicDecoder(CART_COMMANDS, IDS)
    for command in made:
        verdict = read.decode(command.value)
        assert isinstance(verdict, Decoded)
        asked = OpenCart(*verdict.fields)
        place = partition_of(command.key, CART_COMMANDS.partitions)
        assert command.key == cart_key(EVENT_ID, asked.user_id)
        assert is_cart_id(asked.cart_id)
        assert asked.cart_id.endswith(b"-%d" % place)
        assert command.reservation_id.encode() == CART + asked.cart_id
        assert len({section for section, *_ in asked.items}) == 8
        assert {count for _, count, *_ in asked.items} == {SEATS_EACH}
    assert len({command.reservation_id for command in made}) == 50


def kept(key: bytes, value: bytes | None) -> Message:
    return Message(topic=CARTS_CHANGELOG.name, partition=3, offset=0, key=key, value=value)


@pytest.mark.parametrize("status", CartStatus)
def test_only_the_record_of_a_cart_that_is_held_counts(status: CartStatus) -> None:
    cart = begin(b"ann", 7, b"c", OnFailure.RELEASE, (Part(b"A", 1, ()),), 1)._replace(
        status=status
    )
    seed = envelope.seed_of(CARTS_CHANGELOG.name, 3)
    value = envelope.pack(CODECS.stored(cart), seed=seed, order=9)
    assert is_held(kept(b"kid", value)) == (status == CartStatus.HELD)
    for other in (kept(b"kid", None), kept(b"p", value), kept(b"h7-ann", value)):
        assert not is_held(other)


def test_all_scenarios_run_unless_some_are_named() -> None:
    assert parse([]).scenarios == []
    assert parse(["held"]).scenarios == ["held"]
    for wrong in (["fast"], ["--runs", "0"]):
        with pytest.raises(SystemExit):
            parse(wrong)
    for sizes in (Sizes(), QUICK):
        assert len(sizes.rates) == len(sizes.parts)


@pytest.mark.kafka
@pytest.mark.bench
@pytest.mark.timeout(280)
def test_every_scenario_runs_and_tells_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "carts.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    figures = {name: one["figures"] for name, one in document["scenarios"].items()}
    assert set(figures) == set(SCENARIOS)
    for parts in QUICK.parts:
        assert figures["held"][f"sections_{parts}_carts_per_s"]["least"] > 0
        assert figures["paced"][f"sections_{parts}_p99_ms"]["least"] > 0
