"""Issue a development token, signed with a key of this checkout.

Makes an Ed25519 key and its JWKS file where there are none, and prints one token. For development
and demos: whoever can read the folder can be anybody.

Exit codes: 0 done, 2 wrong usage.

Example:
  export SEATSTREAM_API_JWKS=.run/dev-keys/jwks.json
  TOKEN=$(python -m scripts.issue_token --user alice --role buyer)
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.command_line import above_zero, parser_of
from scripts.processes.keys import FOLDER, ROLES, DevelopmentKeys


def main(argv: Sequence[str] | None = None) -> int:
    """Print a token; return the exit code."""
    parser = parser_of(__doc__, prog="python -m scripts.issue_token")
    parser.add_argument("--user", default="developer", help="the token's subject")
    parser.add_argument(
        "--role", action="append", choices=ROLES, help="may be repeated; buyer where none is named"
    )
    parser.add_argument("--audience", default="seatstream")
    parser.add_argument("--issuer", default="")
    parser.add_argument("--lifetime-s", type=above_zero, default=3_600)
    parser.add_argument("--keys", type=Path, default=FOLDER, help="folder of key and JWKS file")
    parser.add_argument("--json", action="store_true", help="print token and JWKS path as JSON")
    arguments = parser.parse_args(argv)
    keys = DevelopmentKeys(arguments.keys)
    token = keys.token(
        arguments.user,
        tuple(arguments.role or ("buyer",)),
        audience=arguments.audience,
        lifetime_s=arguments.lifetime_s,
        issuer=arguments.issuer,
    )
    if arguments.json:
        print(json.dumps({"token": token, "jwks": str(keys.jwks)}))
    else:
        print(token)
        print(f"keys to verify it with: {keys.jwks}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
