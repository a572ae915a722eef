"""What a load is summed up to, also where nothing came back or nothing took any time."""

from collections import Counter

from scripts.traffic.load import Driven, Measured, summary
from scripts.traffic.sending import CommandSender

NOWHERE = "127.0.0.1:1"


def sender_of(sent: int, failed: int = 0) -> CommandSender:
    sender = CommandSender(NOWHERE)
    sender.sent = sent
    sender.failed = ["no broker"] * failed
    return sender


def test_rates_are_over_sending_and_over_all_the_time() -> None:
    measured = Measured(
        outcomes=90,
        lapses=3,
        latencies_ms=[5.0, 1.0, 3.0],
        by_reason=Counter({"SeatsHeld": 80, "SOLD_OUT": 10, "LAPSED": 3}),
    )
    result = summary(measured, sender_of(100, failed=4), Driven(2.0, 4.5, False), 50.0, 7)
    assert (result["sent_per_s"], result["decisions_per_s"]) == (50.0, 20.0)
    assert (result["missing"], result["not_acknowledged"], result["lapses"]) == (10, 4, 3)
    assert (result["latency_ms"]["p50"], result["latency_ms"]["max"]) == (3.0, 5.0)
    assert list(result["by_reason"]) == ["SeatsHeld", "SOLD_OUT", "LAPSED"]
    assert (result["seed"], result["offered_per_s"]) == (7, 50.0)


def test_a_load_that_was_stopped_at_once_has_rates_of_zero() -> None:
    result = summary(Measured(), sender_of(0), Driven(0.0, 0.0, True), None, 1)
    assert (result["sent_per_s"], result["decisions_per_s"], result["missing"]) == (0.0, 0.0, 0)
    assert set(result["latency_ms"].values()) == {0.0}


def test_more_outcomes_than_commands_leave_none_missing() -> None:
    result = summary(Measured(outcomes=3), sender_of(2), Driven(1.0, 1.0, False), None, 1)
    assert result["missing"] == 0
