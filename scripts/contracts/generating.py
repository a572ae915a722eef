"""Generate the code of the .proto files, which is committed beside them.

Exit codes: 0 done, or nothing to do; 1 with --check: what is committed is not what they give.

Example:
  python -m scripts.contracts.generating
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.paths import ROOT
from scripts.command_line import parser_of

FOLDER = ROOT / "schemas" / "proto"


def generated() -> Mapping[Path, str]:
    """Return the text of each generated file by the path that it has."""
    # Of the development group: no process of ours runs it.
    from grpc_tools import protoc  # noqa: PLC0415

    sources = sorted(str(path.relative_to(ROOT)) for path in FOLDER.glob("*.proto"))
    with TemporaryDirectory() as made:
        options = [f"--{kind}_out={made}" for kind in ("python", "pyi", "grpc_python")]
        assert protoc.main(["protoc", f"--proto_path={ROOT}", *options, *sources]) == 0
        found = [path for path in Path(made).rglob("*.py*") if path.is_file()]
        return {ROOT / path.relative_to(made): path.read_text(encoding="utf-8") for path in found}


def stale(texts: Mapping[Path, str]) -> list[Path]:
    """Return the files that are not committed as they are generated, or are generated no more."""
    committed = {path for kind in ("py", "pyi") for path in FOLDER.glob(f"*_pb2*.{kind}")}
    differing = [
        path
        for path, text in texts.items()
        if path not in committed or path.read_text(encoding="utf-8") != text
    ]
    return sorted({*differing, *(committed - texts.keys())})


def main(argv: Sequence[str] | None = None) -> int:
    """Write what is generated, or compare it; return the exit code."""
    parser = parser_of(__doc__, prog="python -m scripts.contracts.generating")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    arguments = parser.parse_args(argv)
    texts = generated()
    for path in (found := stale(texts)):
        print(path.relative_to(ROOT))
        if arguments.check:
            continue
        if path in texts:
            path.write_text(texts[path], encoding="utf-8")
        else:
            path.unlink()
    return 1 if found and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
