import ast
import asyncio
from collections import Counter
from pathlib import Path

import pytest
from support.records.registry_fake import fake_registry, fill
from support.redis.nodes import servers

import topology
from schemas import topics
from schemas.topics import EVENTS, SCHEMA_IDS, TOPICS, subjects
from scripts.show_topology import all_routes
from serdes.avro.schema_files import current
from serdes.decoding import TopicDecoder, UnknownSchema
from serdes.registry.ids import counted_ids
from serdes.schema_source import SchemaSource
from serdes.wire import header_of
from state.records.claim_codecs import ClaimCodecs
from state.records.issued.codecs import IssuingCodecs
from state.records.lock_codecs import LockCodecs
from streams.settings import BadSetting, Settings

ROOT = Path(__file__).parent.parent
TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}
ROUTES = all_routes()
SOURCES = Counter(route.source for route in ROUTES)


def test_every_topic_of_a_route_is_in_the_catalogue() -> None:
    for route in ROUTES:
        names = {route.source, route.changelog, route.dead_letters, *route.to}
        assert names <= TOPIC_BY_NAME.keys()


def test_every_store_has_one_writer() -> None:
    assert max(Counter(route.changelog for route in ROUTES).values()) == 1


def test_every_source_has_one_handler_in_a_group() -> None:
    shared = [source for source, count in SOURCES.items() if count > 1]
    assert shared == ["purchase-created"]
    roles = ("allocate_purchases", "invalidate_caches")
    with_both = Settings(roles=roles, admin_service_url="http://a:1", redis_url="redis://a")
    with pytest.raises(BadSetting, match="two groups"):
        topology.workers(IssuingCodecs.of(counted_ids()), with_both, roles)


def test_every_topic_of_a_route_has_the_partitions_of_its_source() -> None:
    for route in ROUTES:
        names = (route.source, route.changelog, route.dead_letters, *route.to)
        assert len({TOPIC_BY_NAME[name].partitions for name in names}) == 1


def test_every_changelog_is_compacted_and_nothing_else() -> None:
    for route in ROUTES:
        assert TOPIC_BY_NAME[route.changelog].cleanup == "compact"


def test_every_source_carries_the_time_of_the_broker() -> None:
    assert all(TOPIC_BY_NAME[route.source].log_append_time for route in ROUTES)


def test_every_topic_but_the_pods_own_and_the_list_of_ids_is_read_or_written_by_a_route() -> None:
    used = {name for r in ROUTES for name in (r.source, r.changelog, r.dead_letters, *r.to)}
    beside = {EVENTS.name, SCHEMA_IDS.name}
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


def test_gateways_of_a_worker_are_opened_where_it_takes_payments_and_refused_by_name() -> None:
    secrets = {"TOSS_API_KEY": "key_of_a_test", "TOSS_WEBHOOK_SECRET": "a secret of this test"}
    both = topology._gateways(Settings(gateways=("mock", "toss")), secrets)
    assert [gateway.name for gateway in both] == ["mock", "toss"]
    assert topology._gateways(Settings(gateways=("nobody",), roles=("seats",)), {}) == ()
    for wrong in (("nobody",), ("mock", "mock"), ("",)):
        with pytest.raises(BadSetting, match="SEATSTREAM_GATEWAYS"):
            topology._gateways(Settings(gateways=wrong), {})
    with pytest.raises(BadSetting, match="MOCK_GATEWAY_URL"):
        topology._gateways(Settings(), {"MOCK_GATEWAY_URL": "nowhere"})


def test_b26_other_shops_are_believed_by_a_secret_alone_and_without_one_nobody_reads() -> None:
    codecs = ClaimCodecs.of(counted_ids())
    good, old = "a secret of two shops", "the secret before that"
    assert topology._shops(Settings(), codecs) is None
    assert topology._shops(Settings(claim_secret=good, roles=("seats",)), codecs) is None
    for settings in (
        Settings(claim_secret=good),
        Settings(claim_secret=good, old_claim_secret=old, roles=("claims",)),
    ):
        shops = topology._shops(settings, codecs)
        assert shops is not None
        assert good not in f"{shops} {settings}"
    for wrong in (
        Settings(roles=("claims",)),
        Settings(claim_secret="short"),
        Settings(claim_secret=good, old_claim_secret="short"),
    ):
        with pytest.raises(BadSetting, match="SEATSTREAM_CLAIM_SECRET"):
            topology._shops(wrong, codecs)


def test_answers_of_calls_are_signed_where_a_secret_is_set_and_none_is_shown() -> None:
    good, old = "a secret of the workers", "the secret before it"
    assert topology._answer_seal(Settings()) is None
    settings = Settings(answer_secret=good, old_answer_secret=old)
    seal, former = (
        topology._answer_seal(settings),
        topology._answer_seal(Settings(answer_secret=old)),
    )
    assert seal is not None
    assert former is not None
    assert seal.signed_any([b"x"], [former.sign([b"x"])])
    assert not former.signed_any([b"x"], [seal.sign([b"x"])])
    assert good not in f"{seal} {settings}"
    for wrong in (Settings(answer_secret="short"), Settings(old_answer_secret="short")):
        with pytest.raises(BadSetting, match="SEATSTREAM_ANSWER_SECRET"):
            topology._answer_seal(wrong)


@pytest.mark.redis
def test_l26_a_redis_that_drops_keys_refuses_who_was_told_to_unlock_and_nobody_who_sells(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codecs = LockCodecs.of(counted_ids())
    with servers(tmp_path, 1, "--maxmemory-policy", "allkeys-lru") as [server]:
        with pytest.raises(BadSetting, match=r"REDIS_URL.*allkeys-lru.*noeviction"):
            topology._locks(Settings(redis_url=server.url, roles=("locks",)), codecs)
        assert topology._locks(Settings(redis_url=server.url, roles=("seats",)), codecs) is None
        assert not caplog.records
        sells = topology._locks(Settings(redis_url=server.url), codecs)
    assert sells is not None
    assert sells.unlocker is not None
    asyncio.run(sells.unlocker.close())
    [line] = caplog.records
    assert (line.levelname, "maxmemory-policy noeviction" in line.message) == ("WARNING", True)


def test_an_unknown_id_is_asked_once_for_all_that_a_worker_reads(tmp_path: Path) -> None:
    with fake_registry() as fake:
        fill(fake)
        source = SchemaSource(fake.url, tmp_path / "ids.json")
        ids = source.ids()
        commands = TopicDecoder(topics.SECTION_COMMANDS, ids)
        payments = TopicDecoder(topics.PAYMENT_COMMANDS, ids)
        tick = current().text("io.seatstream.commands.Tick")
        learned = fake.add(topics.subject(topics.SECTION_COMMANDS, "io.seatstream.commands.Tick"),
                           tick.replace('"doc":"', '"doc":"Now: ', 1))  # fmt: skip
        for schema_id, known in ((learned, True), (learned + 1, None)):
            fake.requests.clear()
            assert topology._ask(source, (commands, payments), schema_id) is known
            assert len(fake.requests) == len(set(fake.requests))
        value = header_of(learned) + b"\0"
        assert not isinstance(commands.decode(value), UnknownSchema)
        assert not isinstance(payments.decode(value), UnknownSchema)


def test_what_happens_after_the_money_is_played_where_it_is_named_only() -> None:
    codecs = IssuingCodecs.of(counted_ids())
    for roles in ((), ("seats",), ("issue_purchases",)):
        settings = Settings(roles=roles)
        played = [route.role for route in topology.workers(codecs, settings, settings.roles)]
        assert played == [role for role in roles if role in topology.WORKERS]


def test_the_role_that_allocates_is_not_played_without_a_service() -> None:
    codecs, roles = IssuingCodecs.of(counted_ids()), ("allocate_purchases",)
    with pytest.raises(BadSetting, match="ADMIN_SERVICE_URL"):
        topology.workers(codecs, Settings(roles=roles), roles)
    with_service = Settings(roles=roles, admin_service_url="http://127.0.0.1:3010")
    [route] = topology.workers(codecs, with_service, roles)
    assert route.close is not None


def test_the_role_that_deletes_from_caches_is_not_played_without_a_redis() -> None:
    codecs, roles = IssuingCodecs.of(counted_ids()), ("invalidate_caches",)
    with pytest.raises(BadSetting, match="REDIS_URL"):
        topology.workers(codecs, Settings(roles=roles), roles)
    [route] = topology.workers(codecs, Settings(roles=roles, redis_url="redis://127.0.0.1"), roles)
    assert route.close is not None
