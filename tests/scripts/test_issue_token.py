"""A development token is accepted by a pod that reads the JWKS file beside its key."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from api.access.identity import Identity, TokenVerifier
from api.access.tokens import KeySet
from infra.paths import ROOT
from scripts.processes.keys import KEY_FILE, DevelopmentKeys


def verified(jwks: Path, token: str) -> Identity:
    async def go() -> Identity:
        verifier = TokenVerifier(KeySet(str(jwks)), "seatstream")
        await verifier.start()
        try:
            return verifier.identify(f"Bearer {token}".encode())
        finally:
            await verifier.close()

    return asyncio.run(go())


def test_a_token_names_user_and_roles_and_the_key_stays(tmp_path: Path) -> None:
    first = DevelopmentKeys(tmp_path)
    token = first.token("alice", ("buyer", "operator"))
    assert verified(first.jwks, token) == Identity("alice", frozenset({"buyer", "operator"}))
    again = DevelopmentKeys(tmp_path)
    assert verified(again.jwks, token).user_id == "alice"


def test_the_private_key_is_its_owners_alone_and_not_in_the_jwks(tmp_path: Path) -> None:
    keys = DevelopmentKeys(tmp_path / "new" / "folder")
    private = tmp_path / "new" / "folder" / KEY_FILE
    assert private.stat().st_mode & 0o777 == 0o600
    [published] = json.loads(keys.jwks.read_text())["keys"]
    assert "d" not in published


def test_the_command_prints_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.issue_token", "--user", "bob", "--json"]
    printed = subprocess.run(
        [*command, "--keys", str(tmp_path)], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    told = json.loads(printed.stdout)
    assert verified(Path(told["jwks"]), told["token"]).user_id == "bob"
