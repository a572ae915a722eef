"""Where ids cannot be had, a script says whom it asked; what was not sent can be dropped."""

import pytest
from support.records.registry_fake import fake_registry

from scripts.traffic.sending import CommandSender, NoBroker, schema_ids


def test_a_registry_that_is_gone_is_named() -> None:
    with fake_registry() as gone:
        pass
    with pytest.raises(NoBroker, match=f"schema registry.*{gone.url}"):
        schema_ids(gone.url)


def test_a_registry_without_our_schemas_is_refused() -> None:
    with fake_registry() as empty, pytest.raises(NoBroker, match="section-commands-"):
        schema_ids(empty.url)


def test_what_no_broker_takes_is_counted_as_sent_and_can_be_dropped() -> None:
    sender = CommandSender("127.0.0.1:1")
    sender.send(b"key", b"value")
    # The client counts what it still has to say of its brokers too.
    assert sender.sent == 1
    assert sender.flush(0.0) >= 1
    sender.drop()
    assert sender.flush(30.0) == 0
