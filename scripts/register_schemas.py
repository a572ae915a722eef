"""Check, compare, register and release the schemas.

check             every version in schemas/history and the current one read each other; no registry
diff              what a registry has, compared with the current schemas
register          set FULL_TRANSITIVE for each subject and register the current schemas; --listed
                  gives an empty registry, in place of one whose data are lost, the ids that the
                  topic schema-ids of KAFKA_BROKERS has
release VERSION   copy the current schemas to schemas/history/VERSION after a check

A registry that does not answer is asked again for up to 30 s; --wait gives it longer.

Environment: SCHEMA_REGISTRY_URL, unless --registry is given; for --listed KAFKA_BROKERS and
KAFKA_* of docs/operations.md.
Exit codes: 0 done, 1 incompatible or different, 2 wrong usage or no registry.

Example: python -m scripts.register_schemas register --dry-run
"""

import argparse
import difflib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from infra.process.kafka_security import KafkaSecurity
from schemas.topics import subjects
from scripts.contracts.compatibility import incompatibilities
from scripts.contracts.listed_schemas import CannotList, register_listed, texts_of
from scripts.lint_schemas import lint
from scripts.stopping import until_stopped
from serdes.avro.schema_files import HISTORY, SCHEMA_ROOT, current, load, qualified
from serdes.registry.client import (
    QUESTIONS_AT_ONCE,
    Registry,
    RegistryRefusedError,
    RegistryUnavailableError,
    quoted,
)
from serdes.registry.id_files import PINS_FILE, write_ids
from serdes.registry.ids import SchemaIds
from serdes.registry.known_ids import ContradictoryIdsError, SchemaIdsError
from serdes.schema_source import agreed_with_pins
from state.kafka.schema_id_log import SchemaIdLog

COMPATIBILITY = "FULL_TRANSITIVE"

_DONE, _DIFFERENT, _USAGE = 0, 1, 2
_NOT_FOUND, _CONFLICT = 404, 409
TIMEOUT_S = 10.0
PATIENCE_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
_VERSION = re.compile(r"v[1-9][0-9]*")


class PatientRegistry(Registry):
    """A registry that is asked again while it does not answer; nothing asked here harms twice.

    patience_s: how long without any answer, from the first question that got none. A registry on
                a busy machine that answers now and then is slow, not gone.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        super().__init__(url, TIMEOUT_S)
        self._patience_s = patience_s
        self._until_s: float | None = None

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer = super().call(method, path, body)
            except RegistryUnavailableError as error:
                if self._until_s is None:
                    self._until_s = time.monotonic() + self._patience_s
                if time.monotonic() + pause_s > self._until_s:
                    raise RegistryUnavailableError(
                        f"{error}; asked again for {self._patience_s:g} s. Start it, or give it "
                        "longer with --wait; what is registered already stays so"
                    ) from error
            except RegistryRefusedError:
                self._until_s = None
                raise
            else:
                self._until_s = None
                return answer
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of one subject.

    schema_id: None where the schema is not registered (a dry run, or refused).
    state:     "registered", "new", "new version", "would register" or "incompatible".
    """

    subject: str
    schema_id: int | None
    state: str


def register(registry: Registry, *, dry_run: bool = False) -> list[Registration]:
    """Register every current schema, in the order of `subjects()`.

    The fixed order gives an empty registry the ids that are pinned in the repository. Raises as
    `Registry.call`.
    """

    def prepare(subject_and_record: tuple[str, str]) -> Registration:
        subject, record = subject_and_record
        return _prepared(registry, subject, current().text(record), dry_run=dry_run)

    # Only the last step gives ids; what comes before it may be asked in any order, at once.
    with ThreadPoolExecutor(max_workers=QUESTIONS_AT_ONCE) as pool:
        prepared = list(pool.map(prepare, subjects().items()))
    if dry_run:
        return prepared
    return [
        each
        if each.schema_id is not None
        else _register(registry, each, current().text(subjects()[each.subject]))
        for each in prepared
    ]


def _prepared(registry: Registry, subject: str, text: str, *, dry_run: bool) -> Registration:
    """Return what is to be done for a subject, and demand compatibility of it."""
    schema_id = registry.id_of(subject, text)
    if not dry_run:
        # First: a registry whose default is NONE would take anything.
        registry.call("PUT", f"config/{quoted(subject)}", {"compatibility": COMPATIBILITY})
    if schema_id is not None:
        return Registration(subject, schema_id, "registered")
    is_new = latest(registry, subject) is None
    if dry_run:
        fits = is_new or _fits(registry, subject, text)
        return Registration(subject, None, "would register" if fits else "incompatible")
    return Registration(subject, None, "new" if is_new else "new version")


def _register(registry: Registry, prepared: Registration, text: str) -> Registration:
    subject = prepared.subject
    try:
        answer = registry.call("POST", f"subjects/{quoted(subject)}/versions", {"schema": text})
    except RegistryRefusedError as error:
        if error.status == _CONFLICT:
            return Registration(subject, None, "incompatible")
        raise
    return Registration(subject, int(answer["id"]), prepared.state)


def _fits(registry: Registry, subject: str, text: str) -> bool:
    path = f"compatibility/subjects/{quoted(subject)}/versions"
    return bool(registry.call("POST", path, {"schema": text})["is_compatible"])


def latest(registry: Registry, subject: str) -> str | None:
    """Return the text of a subject's latest version, or None where it has none."""
    try:
        answer = registry.call("GET", f"subjects/{quoted(subject)}/versions/latest")
    except RegistryRefusedError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return str(answer["schema"])


def differences(registry: Registry) -> list[str]:
    """Return, line by line, how the current schemas differ from the registry's latest."""
    lines: list[str] = []
    for subject, record in subjects().items():
        registered = latest(registry, subject)
        if registered is None:
            lines.append(f"{subject}: not registered")
            continue
        before, after = _pretty(registered), _pretty(current().text(record))
        lines += difflib.unified_diff(before, after, f"{subject} registered", "current", "", "")
    return lines


def _pretty(text: str) -> list[str]:
    return json.dumps(qualified(json.loads(text)), indent=2, ensure_ascii=False).splitlines()


def release(root: Path, version: str) -> Path:
    """Copy the current schemas to the history; return the new folder.

    Raises ValueError for a version that exists, is not `v` and a number, or cannot be released.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a version: v1, v2, ...")
    folder = root / HISTORY / version
    if folder.exists():
        raise ValueError(f"{folder} exists: a release never changes")
    if faults := [*lint(root), *incompatibilities(root)]:
        raise ValueError("not released: " + "; ".join(faults))
    files = load(root)
    for path in files.path_by_name.values():
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check", "diff", "register", "release"):
        command = commands.add_parser(name)
        if name in {"check", "release"}:
            command.add_argument("--root", type=Path, default=SCHEMA_ROOT)
        else:
            command.add_argument("--registry", default=os.environ.get("SCHEMA_REGISTRY_URL"))
            command.add_argument(
                "--wait", type=float, default=PATIENCE_S, help="seconds to ask again; 0 never"
            )
        if name == "register":
            command.add_argument("--dry-run", action="store_true", help="change nothing")
            command.add_argument("--json", action="store_true", help="print one JSON list")
            command.add_argument(
                "--listed", action="store_true", help="fill an empty registry with the log's ids"
            )
            command.add_argument(
                "--pin", action="store_true", help=f"write the ids to {PINS_FILE.name}"
            )
        if name == "release":
            command.add_argument("version", help="v2, v3, ...")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "release":
            print(release(options.root, options.version))
            return _DONE
        if options.command == "check":
            lines = incompatibilities(options.root)
        elif not options.registry:
            raise ValueError("no registry: set SCHEMA_REGISTRY_URL or give --registry")  # noqa: TRY301
        elif options.command == "diff":
            lines = differences(PatientRegistry(options.registry, options.wait))
        else:
            return _register_and_print(options)
    except (
        CannotList,
        KafkaException,
        OSError,
        RegistryUnavailableError,
        SchemaIdsError,
        ValueError,
    ) as error:
        print(f"register_schemas: {error}", file=sys.stderr)
        return _USAGE
    for line in lines:
        print(line)
    return _DIFFERENT if lines else _DONE


def _give_listed_ids(registry: Registry, *, dry_run: bool) -> None:
    """Fill an empty registry with the ids that the log has, by its list."""
    brokers = os.environ.get("KAFKA_BROKERS")
    if not brokers:
        raise ValueError("no brokers: set KAFKA_BROKERS")
    listed = SchemaIdLog(brokers, kafka=KafkaSecurity.from_env(os.environ).librdkafka()).read()
    if dry_run:
        texts_of(listed)
        return
    for schema_id, subject in register_listed(registry, listed):
        print(f"{schema_id:>6}  {'as listed':15} {subject}")


def _register_and_print(options: argparse.Namespace) -> int:
    registry = PatientRegistry(options.registry, options.wait)
    if options.listed:
        _give_listed_ids(registry, dry_run=options.dry_run)
    done = register(registry, dry_run=options.dry_run)
    if options.json:
        print(json.dumps([asdict(registration) for registration in done], indent=2))
    else:
        for each in done:
            print(f"{each.schema_id or '-':>6}  {each.state:15} {each.subject}")
    if any(each.state == "incompatible" for each in done):
        print("register_schemas: the registry refuses a schema; see diff", file=sys.stderr)
        return _DIFFERENT
    ids = {each.subject: each.schema_id for each in done if each.schema_id is not None}
    found = SchemaIds(ids, f"the registry {options.registry}")
    if options.pin and len(ids) == len(done):
        write_ids(PINS_FILE, found)
    try:
        agreed_with_pins(found)
    except ContradictoryIdsError as error:
        print(f"register_schemas: {error}", file=sys.stderr)
        return _DIFFERENT
    return _DONE


if __name__ == "__main__":
    sys.exit(until_stopped(main))
