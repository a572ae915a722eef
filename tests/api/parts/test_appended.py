"""Topics that are appended to, as parts of a pod."""

import asyncio

from api.parts.appended import Appended, AppendedPlainly
from api.web.metrics import ApiMetrics
from state.kafka.command_log import CommandLog


def test_a_topic_is_told_of_by_the_name_of_its_part() -> None:
    log = CommandLog("127.0.0.1:1", topic="wishes")
    part = Appended("carts", log, is_optional=True)
    assert (part.readiness(), part.troubles()) == ({"carts": False}, {"carts": ""})
    log._trouble = "UNKNOWN_TOPIC_OR_PART"
    assert part.troubles() == {"carts": "wishes is not known: UNKNOWN_TOPIC_OR_PART"}
    log._partitions = 4
    assert part.readiness() == {"carts": True}
    assert (ApiMetrics.commands_appended, 0, ("wishes",)) in list(part.readings())
    asyncio.run(part.close())


def test_handlers_are_given_a_desk_itself_and_of_a_plain_part_its_log() -> None:
    log = CommandLog("127.0.0.1:1")
    desk = Appended("payments", log)
    assert desk.given is desk
    assert AppendedPlainly("commands", log).given is log


def test_a_topic_whose_thread_has_ended_ends_the_pods_life() -> None:
    log = CommandLog("127.0.0.1:1")
    part = Appended("commands", log)
    assert part.ended() == {}
    log.failure = ValueError("a mistake of ours")
    assert part.ended() == {"commands": "ValueError"}
