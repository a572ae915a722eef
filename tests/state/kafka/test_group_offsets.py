"""What a group has committed, as the broker's answer says it."""

import pytest
from aiokafka.errors import (
    GroupLoadInProgressError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    kafka_errors,
)
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from state.kafka.group_offsets import NOTHING_COMMITTED, by_topic, committed_in

PLACES = [TopicPartition("in", number) for number in range(3)]


@given(st.sampled_from(sorted(code for code in kafka_errors if code)), st.booleans())
def test_s1_an_error_of_the_whole_group_is_raised_whatever_else_is_told(
    code: int, has_topics: bool
) -> None:
    topics = [("in", [(0, 7, "owner", 0)])] if has_topics else []
    with pytest.raises(KafkaError) as raised:
        committed_in(OffsetFetchResponse_v3(0, topics, code))
    assert raised.value.errno == code


def test_s1_an_error_or_a_gap_in_the_answer_is_not_that_nothing_is_committed() -> None:
    told = committed_in(
        OffsetFetchResponse_v3(0, [("in", [(0, -1, "", 0), (1, -1, "", 29)])], 0), PLACES
    )
    assert told[PLACES[0]] == OffsetAndMetadata(NOTHING_COMMITTED, "")
    assert isinstance(told[PLACES[1]], TopicAuthorizationFailedError)
    assert isinstance(told[PLACES[2]], UnknownTopicOrPartitionError)
    assert GroupLoadInProgressError.retriable


def test_partitions_are_listed_by_topic() -> None:
    assert by_topic([*PLACES, TopicPartition("out", 9)]) == [("in", [0, 1, 2]), ("out", [9])]
