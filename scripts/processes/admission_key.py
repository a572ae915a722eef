"""Make a key that turns of waiting rooms are signed with, and put it first in a key file.

Tokens that were signed with the former keys stay good: they are kept behind it. Take the oldest
out with --keep once nothing that it signed is in use, which is a week later. The file holds
private keys: it is written for its owner alone.

Exit codes: 0 done, 1 the file holds something else, 2 wrong usage.

Example:
  python -m scripts.processes.admission_key .run/admission-keys.json
  export SEATSTREAM_API_ADMISSION_KEYS=.run/admission-keys.json
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from api.admission.passes import KeysUnusable, Passes
from scripts.command_line import parser_of

KEPT = 2


def new_key() -> dict[str, Any]:
    """Return a new private key as an entry of a JWKS."""
    made = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    return {**made, "kid": secrets.token_hex(4), "use": "sig"}


def write_with_new_key(path: Path, kept: int) -> str:
    """Put a new key before those of a file, which need not be there; return its id.

    kept: former keys that stay. Raises KeysUnusable for a file that holds something else.
    """
    former: list[dict[str, Any]] = []
    if path.exists():
        Passes.read(path)
        former = json.loads(path.read_bytes())["keys"]
    key = new_key()
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{key['kid']}")
    # Nobody else may read it, from its first byte on.
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"keys": [key, *former[:kept]]}, file, indent=2)
        file.write("\n")
    written.replace(path)
    name: str = key["kid"]
    return name


def main() -> int:
    """Write the file and tell the new key's id; return the exit code."""
    parser = parser_of(__doc__, prog="python -m scripts.processes.admission_key")
    parser.add_argument("file", type=Path)
    parser.add_argument("--keep", type=int, default=KEPT, help="former keys that stay")
    arguments = parser.parse_args()
    if arguments.keep < 0:
        parser.error("--keep is 0 or more")
    try:
        key_id = write_with_new_key(arguments.file, arguments.keep)
    except KeysUnusable as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments.file}: signs with {key_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
