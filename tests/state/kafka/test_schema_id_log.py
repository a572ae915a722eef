"""The list of ids beside the log, where no broker answers."""

import pytest

from infra.stack.ports import free_ports
from serdes.registry.known_ids import IdLogUnavailableError, KnownId
from state.kafka.schema_id_log import SchemaIdLog


def test_a_list_that_no_broker_gives_or_takes_is_told_in_words_of_its_own() -> None:
    (port,) = free_ports(1)
    log = SchemaIdLog(f"127.0.0.1:{port}", kafka={"log_level": 0}, timeout_s=0.3)
    with pytest.raises(IdLogUnavailableError):
        log.read()
    with pytest.raises(IdLogUnavailableError, match="was not written"):
        log.append([KnownId(1, "a.Record", "00", "us")])
