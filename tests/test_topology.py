import ast
from collections import Counter
from pathlib import Path

import pytest

import topology
from schemas.topics import BOOKING_QUEUE, EVENTS, SCHEMA_IDS, TOPICS, WAITING_TURNS, subjects
from scripts.show_topology import all_routes
from serdes.avro.schema_files import current

ROOT = Path(__file__).parent.parent
TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}
ROUTES = all_routes()


def test_every_topic_of_a_route_is_in_the_catalogue() -> None:
    for route in ROUTES:
        names = {route.source, route.changelog, route.dead_letters, *route.to}
        assert names <= TOPIC_BY_NAME.keys()


def test_every_store_has_one_writer() -> None:
    assert max(Counter(route.changelog for route in ROUTES).values()) == 1


def test_every_source_has_one_handler_in_a_group() -> None:
    sources = Counter(route.source for route in ROUTES)
    shared = [source for source, count in sources.items() if count > 1]
    assert shared == ["purchase-created", "seats-allocated"]


def test_every_topic_of_a_route_has_the_partitions_of_its_source() -> None:
    for route in ROUTES:
        names = (route.source, route.changelog, route.dead_letters, *route.to)
        assert len({TOPIC_BY_NAME[name].partitions for name in names}) == 1


def test_every_changelog_is_compacted_and_nothing_else() -> None:
    for route in ROUTES:
        assert TOPIC_BY_NAME[route.changelog].cleanup == "compact"


def test_every_source_carries_the_time_of_the_broker() -> None:
    assert all(TOPIC_BY_NAME[route.source].log_append_time for route in ROUTES)


def test_no_source_takes_what_its_workers_cannot_unpack_or_set_aside() -> None:
    """Brokers unpack what is packed; a dead letter has room for any record and its headers."""
    for route in ROUTES:
        source, letters = (
            TOPIC_BY_NAME[name].configs() for name in (route.source, route.dead_letters)
        )
        assert source.get("compression.type") == "uncompressed", route.source
        largest = int(letters["max.message.bytes"]) // 2
        assert int(source["max.message.bytes"]) <= largest, route.source


def test_every_topic_but_the_pods_own_and_the_list_of_ids_is_read_or_written_by_a_route() -> None:
    used = {name for r in ROUTES for name in (r.source, r.changelog, r.dead_letters, *r.to)}
    beside = {EVENTS.name, SCHEMA_IDS.name, WAITING_TURNS.name, BOOKING_QUEUE.name}
    assert used | beside == TOPIC_BY_NAME.keys()
    assert not used & beside


def test_every_record_of_a_topic_has_a_schema_file() -> None:
    for name in subjects().values():
        assert current().text(name)


def test_the_topology_knows_no_kafka_client() -> None:
    tree = ast.parse(Path(topology.__file__).read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"aiokafka", "confluent_kafka", "faust"}


def test_importing_the_topology_builds_no_app() -> None:
    assert "app" not in vars(topology)
    with pytest.raises(AttributeError):
        topology.apps  # noqa: B018


def test_pods_read_and_write_topics_of_the_catalogue_and_never_what_only_workers_may() -> None:
    assert {*topology.POD_READS, *topology.POD_WRITES} <= TOPIC_BY_NAME.keys()
    written_by_workers = {name for route in ROUTES for name in (*route.to, route.changelog)}
    # What a route reads may be asked of it by pods and by other routes alike.
    asked = {route.source for route in ROUTES}
    assert not (written_by_workers - asked) & {*topology.POD_WRITES}
