"""What a client's log and its errors tell of connections; as librdkafka 2.16 words it."""

import logging

import pytest
from confluent_kafka import KafkaError

from state.kafka.connections import ConnectionLog, none_is_left

AT = "[thrd:127.0.0.1:9/1]: 127.0.0.1:9/1: "


@pytest.mark.parametrize(
    ("line", "is_loss"),
    [
        (
            "Disconnected: connection closed by peer: receive 0 (after 9ms in state UP)",
            True,
        ),
        (
            "1 request(s) timed out: disconnect (average rtt 1.2ms) (after 4004ms in state UP)",
            True,
        ),
        (
            "Connect to ipv4#127.0.0.1:9 failed: refused (after 0ms in state CONNECT)",
            False,
        ),
        ("Disconnected: connection reset by peer (after 5ms in state APIVERSION_QUERY)", False),
    ],
)
def test_a_connection_that_was_never_made_is_none_that_was_lost(
    line: str, is_loss: bool, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[None] = []
    client_log = ConnectionLog(logging.getLogger("client"), lambda: lost.append(None))
    with caplog.at_level(logging.INFO, "client"):
        # The client gives a format with its parts.
        client_log.log(logging.INFO, "%s [%s] %s", "FAIL", "seatstream#consumer-3", AT + line)
        client_log.log(logging.INFO, "100 % of it")
    assert len(lost) == is_loss
    assert [one.getMessage() for one in caplog.records] == [
        f"FAIL [seatstream#consumer-3] {AT}{line}",
        "100 % of it",
    ]


def test_that_no_broker_is_left_tells_that_a_connection_was_lost() -> None:
    assert none_is_left(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert not none_is_left(KafkaError(KafkaError._TRANSPORT, "b:1/1: Connect to b:1 failed"))
