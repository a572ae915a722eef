"""The token that the command prints is accepted by a pod that reads the JWKS file it names."""

import json
import subprocess
import sys
from pathlib import Path

from support.pages.tokens import verified

from infra.paths import ROOT


def test_the_command_prints_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.issue_token", "--user", "bob", "--json"]
    printed = subprocess.run(
        [*command, "--keys", str(tmp_path)], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    told = json.loads(printed.stdout)
    assert verified(Path(told["jwks"]), told["token"]).user_id == "bob"
