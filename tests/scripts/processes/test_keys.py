"""Development keys are made once; a pod that reads their JWKS file accepts their tokens."""

import json
from pathlib import Path

from support.pages.tokens import verified

from api.access.identity import Identity
from scripts.processes.keys import KEY_FILE, DevelopmentKeys


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
