"""The list of topics keeps the laws that co-partitioning and compaction need."""

from schemas.topics import (
    EVENTS,
    PARTITIONS_BY_GROUP,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
    TOPICS,
    subject,
    subjects,
)
from serdes.avro.schema_files import current


def test_names_are_unique() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_what_one_handler_reads_and_writes_shares_its_partition_count() -> None:
    topics = (SECTION_COMMANDS, RESERVATION_OUTCOMES, SECTION_STATUS, SEATS_CHANGELOG)
    assert {topic.partitions for topic in topics} == {PARTITIONS_BY_GROUP["seats"]}
    assert SECTION_STATUS.partitions == 20


def test_state_is_compacted_and_never_deleted_by_age() -> None:
    for topic in (SEATS_CHANGELOG, SECTION_STATUS, EVENTS):
        assert topic.configs()["cleanup.policy"] == "compact"
        assert "retention.ms" not in topic.configs()


def test_b61_log_time_is_the_brokers() -> None:
    assert SECTION_COMMANDS.configs()["message.timestamp.type"] == "LogAppendTime"


def test_every_record_has_a_file_and_one_subject() -> None:
    names = [name for topic in TOPICS for name in topic.records]
    assert set(names) <= current().by_name.keys()
    assert len(subjects()) == len(names) == len(set(names))


def test_a_subject_names_topic_and_record() -> None:
    tick = "io.seatstream.commands.Tick"
    assert subject(SECTION_COMMANDS, tick) == "section-commands-io.seatstream.commands.Tick"
