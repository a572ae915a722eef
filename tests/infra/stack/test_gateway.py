import json
import urllib.error
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


def test_it_gets_the_key_and_the_secret_of_whoever_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCK_GATEWAY_API_KEY", "key_of_the_shop")
    monkeypatch.setenv("MOCK_GATEWAY_WEBHOOK_SECRET", "secret of the shop")
    gateway = MockGateway(tmp_path)
    gateway.begin()
    try:
        gateway.wait()
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(gateway.url + "/v1/orders/o", timeout=60)
        raised.value.close()
        assert raised.value.code == 401
        assert gateway.child is not None
        # What events are signed with shows in no answer; where it comes from does.
        variables = Path(f"/proc/{gateway.child.pid}/environ").read_bytes().split(b"\0")
        assert b"MOCK_GATEWAY_WEBHOOK_SECRET=secret of the shop" in variables
    finally:
        gateway.kill()
