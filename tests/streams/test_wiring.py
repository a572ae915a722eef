import asyncio
from pathlib import Path

import pytest
import redis
from support.records.registry_fake import fake_registry, fill
from support.redis.nodes import servers

from infra.process.environment import BadSetting
from schemas import topics
from serdes.avro.schema_files import current
from serdes.decoding import TopicDecoder, UnknownSchema
from serdes.registry.ids import counted_ids
from serdes.schema_source import SchemaSource
from serdes.wire import header_of
from state.records.claim_codecs import ClaimCodecs
from state.records.issued.codecs import IssuingCodecs
from state.records.lock_codecs import LockCodecs
from streams import wiring
from streams.schedule_slots import handler as slots
from streams.settings import Settings
from topology import routes


def test_gateways_of_a_worker_are_opened_where_it_takes_payments_and_refused_by_name() -> None:
    secrets = {"TOSS_API_KEY": "key_of_a_test", "TOSS_WEBHOOK_SECRET": "a secret of this test"}
    both = wiring._gateways(Settings(gateways=("mock", "toss")), secrets)
    assert [gateway.name for gateway in both] == ["mock", "toss"]
    assert wiring._gateways(Settings(gateways=("nobody",), roles=("seats",)), {}) == ()
    for wrong in (("nobody",), ("mock", "mock"), ("",)):
        with pytest.raises(BadSetting, match="SEATSTREAM_GATEWAYS"):
            wiring._gateways(Settings(gateways=wrong), {})
    with pytest.raises(BadSetting, match="MOCK_GATEWAY_URL"):
        wiring._gateways(Settings(), {"MOCK_GATEWAY_URL": "nowhere"})


def test_b26_other_shops_are_believed_by_a_secret_alone_and_without_one_nobody_reads() -> None:
    codecs = ClaimCodecs.of(counted_ids())
    good, old = "a secret of two shops", "the secret before that"
    assert wiring._shops(Settings(), codecs) is None
    assert wiring._shops(Settings(claim_secret=good, roles=("seats",)), codecs) is None
    for settings in (
        Settings(claim_secret=good),
        Settings(claim_secret=good, old_claim_secret=old, roles=("claims",)),
    ):
        shops = wiring._shops(settings, codecs)
        assert shops is not None
        assert good not in f"{shops} {settings}"
    for wrong in (
        Settings(roles=("claims",)),
        Settings(claim_secret="short"),
        Settings(claim_secret=good, old_claim_secret="short"),
    ):
        with pytest.raises(BadSetting, match="SEATSTREAM_CLAIM_SECRET"):
            wiring._shops(wrong, codecs)


def test_answers_of_calls_are_signed_where_a_secret_is_set_and_none_is_shown() -> None:
    good, old = "a secret of the workers", "the secret before it"
    assert wiring._answer_seal(Settings()) is None
    settings = Settings(answer_secret=good, old_answer_secret=old)
    seal, former = (
        wiring._answer_seal(settings),
        wiring._answer_seal(Settings(answer_secret=old)),
    )
    assert seal is not None
    assert former is not None
    assert seal.signed_any([b"x"], [former.sign([b"x"])])
    assert not former.signed_any([b"x"], [seal.sign([b"x"])])
    assert good not in f"{seal} {settings}"
    for wrong in (Settings(answer_secret="short"), Settings(old_answer_secret="short")):
        with pytest.raises(BadSetting, match="SEATSTREAM_ANSWER_SECRET"):
            wiring._answer_seal(wrong)


@pytest.mark.redis
def test_l26_a_redis_that_drops_keys_refuses_the_start_of_whoever_would_unlock_there(
    tmp_path: Path,
) -> None:
    codecs, issuing = LockCodecs.of(counted_ids()), IssuingCodecs.of(counted_ids())
    with servers(tmp_path, 1, "--maxmemory-policy", "allkeys-lru") as [server]:
        for roles in (("locks",), ()):
            with pytest.raises(BadSetting, match=r"REDIS_URL.*allkeys-lru.*noeviction"):
                wiring._locks(Settings(redis_url=server.url, roles=roles), codecs)
        assert wiring._locks(Settings(redis_url=server.url, roles=("seats",)), codecs) is None
        for at in ({"redis_url": server.url}, {"lease_urls": (server.url,)}):
            with pytest.raises(BadSetting, match=r"REDIS_URL.*allkeys-lru.*noeviction"):
                wiring._scheduling(Settings(roles=("schedule_slots",), **at), issuing)
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("maxmemory-policy", "noeviction")
        sells = wiring._locks(Settings(redis_url=server.url), codecs)
    assert sells is not None
    assert sells.unlocker is not None
    asyncio.run(sells.unlocker.close())
    # One that does not answer tells nothing of its policy: seats are sold without it.
    alone = wiring._locks(Settings(redis_url=server.url), codecs)
    assert alone is not None
    assert alone.unlocker is not None
    asyncio.run(alone.unlocker.close())


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
            assert wiring._ask(source, (commands, payments), schema_id) is known
            assert len(fake.requests) == len(set(fake.requests))
        value = header_of(learned) + b"\0"
        assert not isinstance(commands.decode(value), UnknownSchema)
        assert not isinstance(payments.decode(value), UnknownSchema)


def roles_of(settings: Settings) -> list[str]:
    parts = wiring.parts_of(settings, {}, counted_ids())
    return [route.role for route in routes(parts)]


def test_what_happens_after_the_money_is_played_where_it_is_named_only() -> None:
    always = ["seats", "payments", "carts"]
    assert roles_of(Settings()) == roles_of(Settings(roles=("seats",))) == always
    assert roles_of(Settings(roles=("issue_purchases",))) == [*always, "issue_purchases"]


def test_the_role_that_allocates_is_not_played_without_a_service() -> None:
    roles = ("allocate_purchases",)
    with pytest.raises(BadSetting, match="ADMIN_SERVICE_URL"):
        roles_of(Settings(roles=roles))
    with_service = Settings(roles=roles, admin_service_url="http://127.0.0.1:3010")
    parts = wiring.parts_of(with_service, {}, counted_ids())
    assert parts.allocating is not None
    assert parts.allocating.close is not None
    assert routes(parts)[-1].close == parts.allocating.close


def test_each_part_that_reads_a_topic_is_told_of_new_schemas() -> None:
    claims = "a secret of two shops"
    every = Settings(roles=("claims", "issue_purchases"), claim_secret=claims)
    parts = wiring.parts_of(every, {}, counted_ids())
    assert parts.shops is not None
    assert parts.issuing is not None
    assert parts.shops.codecs.records in parts.decoders
    assert parts.issuing.confirmed in parts.decoders
    few = wiring.parts_of(Settings(roles=("seats",)), {}, counted_ids())
    assert few.decoders == (few.seats.commands, few.payments.records, few.carts.records)


def test_the_role_that_deletes_from_caches_has_a_redis_and_a_group_of_its_own() -> None:
    roles = ("invalidate_caches",)
    with pytest.raises(BadSetting, match="REDIS_URL"):
        roles_of(Settings(roles=roles))
    with_redis = Settings(roles=roles, redis_url="redis://127.0.0.1")
    assert wiring.parts_of(with_redis, {}, counted_ids()).caches is not None
    both = ("allocate_purchases", "invalidate_caches")
    with pytest.raises(BadSetting, match="group of its own"):
        roles_of(Settings(roles=both, admin_service_url="http://a:1", redis_url="redis://a"))


def test_the_role_that_fills_tables_has_a_database_and_a_group_of_its_own() -> None:
    roles = ("purchase_tables", "allocation_tables", "slot_tables")
    with pytest.raises(BadSetting, match="DATABASE_URL: the role purchase_tables writes there"):
        roles_of(Settings(roles=roles))
    url = "postgresql://ann:secret@h/d"
    with_database = Settings(roles=roles, database_url=url)
    assert "secret" not in repr(with_database)
    parts = wiring.parts_of(with_database, {}, counted_ids())
    assert parts.tables is not None
    codecs = parts.tables.codecs
    assert {codecs.told, codecs.heard, codecs.planned} <= set(parts.decoders)
    assert [(route.role, route.source) for route in routes(parts) if route.role in roles] == [
        ("purchase_tables", "purchase-created"),
        ("allocation_tables", "seats-allocated"),
        ("slot_tables", "performance-slots"),
    ]
    both = ("purchase_tables", "invalidate_caches")
    with pytest.raises(BadSetting, match="group of its own"):
        roles_of(Settings(roles=both, database_url=url, redis_url="redis://a"))


def test_the_role_that_plans_slots_has_the_rules_of_the_settings_and_a_group_of_its_own() -> None:
    roles = ("schedule_slots",)
    told = {"SEATSTREAM_DARK_DAYS": "none", "SEATSTREAM_SLOT_TIME": "09:30"}
    named = Settings.from_env({"SEATSTREAM_ROLES": "schedule_slots", **told})
    parts = wiring.parts_of(named, {}, counted_ids())
    assert parts.scheduling is not None
    rules = parts.scheduling.rules
    assert (f"{rules.at:%H:%M}", rules.dark, str(rules.zone)) == ("09:30", frozenset(), "UTC")
    assert parts.scheduling.codecs.heard in parts.decoders
    assert routes(parts)[-1].role == "schedule_slots"
    both = (*roles, "allocation_tables")
    with pytest.raises(BadSetting, match="group of its own"):
        roles_of(Settings(roles=both, database_url="postgresql://h/d"))


def test_who_plans_slots_asks_for_its_turn_where_there_is_a_redis_and_nobody_without() -> None:
    issuing = IssuingCodecs.of(counted_ids())
    alone = wiring._scheduling(Settings(roles=("schedule_slots",)), issuing)
    assert alone is not None
    assert alone.turn is None
    # One that does not answer at the start hinders nobody.
    settings = Settings(roles=("schedule_slots",), redis_url="redis://127.0.0.1:1/0")
    asking = wiring._scheduling(settings, issuing)
    assert asking is not None
    assert asking.turn is not None

    async def turn_of(setup: slots.Setup) -> bool | None:
        assert setup.turn is not None
        assert setup.close is not None
        turn = await setup.turn(0)
        await setup.close()
        return turn

    assert asyncio.run(turn_of(asking)) is None
