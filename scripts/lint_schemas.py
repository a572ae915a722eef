"""Check the schema files: what must not be written, and what must be.

Exit codes: 0 no fault, 1 faults (one a line, with the file).

Example: python -m scripts.lint_schemas
"""

import sys
from pathlib import Path

from scripts.command_line import add_json, parser_of, tell
from scripts.contracts.linting import lint
from serdes.avro.schema_files import SCHEMA_ROOT


def main(arguments: list[str] | None = None) -> int:
    """Print faults; return the exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--root", type=Path, default=SCHEMA_ROOT, help="folder of the schemas")
    add_json(parser)
    options = parser.parse_args(arguments)
    faults = [str(fault) for fault in lint(options.root)]
    if options.json:
        tell((), {"faults": faults}, as_json=True)
    for fault in () if options.json else faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
