import json
import urllib.request
from pathlib import Path

import pytest

from infra.stack.gateway import MockGateway
from infra.stack.processes import StackError

pytestmark = [pytest.mark.programs, pytest.mark.timeout(240)]


def is_ready(gateway: MockGateway) -> bool:
    with urllib.request.urlopen(gateway.control_url + "/ready", timeout=60) as answer:
        return "hang" in json.load(answer)["faults"]


def test_it_starts_on_free_ports_and_again_on_the_same_after_a_crash(tmp_path: Path) -> None:
    gateway = MockGateway(tmp_path / "with a blank")
    gateway.begin()
    try:
        gateway.wait()
        addresses = gateway.url, gateway.control_url
        assert is_ready(gateway)
        gateway.kill()
        gateway.restart()
        gateway.wait()
        assert (gateway.url, gateway.control_url) == addresses
        assert is_ready(gateway)
        assert gateway.ledger.exists()
    finally:
        gateway.kill()


def test_why_it_did_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"nonsense\n")
    gateway = MockGateway(tmp_path)
    gateway.begin()
    with pytest.raises(StackError, match="line 1 cannot be read"):
        gateway.wait()
