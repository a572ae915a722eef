"""Check, compare, register and release the schemas.

check             every version in schemas/history and the current one read each other; no registry
diff              what a registry has, compared with the current schemas
register          set FULL_TRANSITIVE for each subject and register the current schemas; --listed
                  gives an empty registry, in place of one whose data are lost, the ids that the
                  topic schema-ids of KAFKA_BROKERS has
release VERSION   copy the current schemas to schemas/history/VERSION after a check

A registry that does not answer is asked again for up to 30 s; --wait gives it longer.

Environment: SCHEMA_REGISTRY_URL (else the local stack that is up), unless --registry is given; for
--listed KAFKA_BROKERS and KAFKA_* of docs/operations.md.
Exit codes: 0 done; 1 incompatible or different, or a dry run has something to do; 2 wrong usage or
no registry.

Example: python -m scripts.register_schemas register --dry-run
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from confluent_kafka import KafkaException

from infra.process.kafka_security import KafkaSecurity
from scripts.brokers.addresses import NotUp, address_needed
from scripts.brokers.answering import brokers_needed
from scripts.command_line import add_json, cannot, parser_of, tell, until_stopped
from scripts.contracts.compatibility import incompatibilities
from scripts.contracts.listed_schemas import CannotList, register_listed, texts_of
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.registering import WOULD_REGISTER, differences, register, release
from serdes.avro.schema_files import SCHEMA_ROOT
from serdes.registry.client import Registry, RegistryUnavailableError
from serdes.registry.id_files import PINS_FILE, write_ids
from serdes.registry.ids import SchemaIds
from serdes.registry.known_ids import ContradictoryIdsError, SchemaIdsError
from serdes.schema_source import agreed_with_pins
from state.kafka.schema_id_log import SchemaIdLog

_DONE, _DIFFERENT = 0, 1

_REGISTRY_CODES = "2 no registry, or one that does not answer."
_SAYS = {
    "check": """Say whether every released version of a schema and the present one read each other.

Asks no registry. Exit codes: 0 they do, 1 some do not, 2 the files cannot be read.""",
    "diff": f"""Compare the newest version in a registry with the present schema, line by line.

Documentation counts, for it makes a version of its own: where nothing else differs, a line says
so. Records are the same then, before and behind. Exit codes: 0 nothing differs, 1 something does,
or is not registered; {_REGISTRY_CODES}""",
    "register": f"""Set FULL_TRANSITIVE for each subject, and register the present schemas.

What is there stays as it is; run again it goes on. Exit codes: 0 all are registered, 1 the
registry refuses a schema, its ids are not those that are known, or a dry run has something to
do; {_REGISTRY_CODES}""",
    "release": """Copy the present schemas to schemas/history/VERSION, after a check.

A release never changes. Exit codes: 0 done, 2 there is such a version, or these do not fit.""",
}
"""What `--help` of each word says."""


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, says in _SAYS.items():
        command = commands.add_parser(
            name, description=says, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in {"check", "release"}:
            command.add_argument(
                "--root", type=Path, default=SCHEMA_ROOT, help="folder of the schemas"
            )
        else:
            command.add_argument("--registry", help="its address, instead of SCHEMA_REGISTRY_URL")
            command.add_argument(
                "--wait", type=float, default=PATIENCE_S, help="seconds to ask again; 0 never"
            )
        if name == "register":
            command.add_argument("--dry-run", action="store_true", help="change nothing")
            command.add_argument(
                "--listed", action="store_true", help="fill an empty registry with the log's ids"
            )
            command.add_argument(
                "--pin", action="store_true", help=f"write the ids to {PINS_FILE.name}"
            )
        if name == "release":
            command.add_argument("version", help="v2, v3, ...")
            command.add_argument("--dry-run", action="store_true", help="write nothing")
        add_json(command)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "release":
            return _release(options)
        if options.command == "check":
            lines = incompatibilities(options.root)
        else:
            options.registry = options.registry or address_needed("registry", "--registry")
            if options.command == "register":
                return _register_and_print(options)
            lines = differences(PatientRegistry(options.registry, options.wait))
    except (
        CannotList,
        KafkaException,
        NotUp,
        OSError,
        RegistryUnavailableError,
        SchemaIdsError,
        ValueError,
    ) as error:
        return cannot("register_schemas", error, as_json=options.json)
    tell(lines, {"differences": lines}, as_json=options.json)
    return _DIFFERENT if lines else _DONE


def _release(options: argparse.Namespace) -> int:
    folder = str(release(options.root, options.version, dry_run=options.dry_run))
    said = f"{folder} would be written" if options.dry_run else folder
    told = {"folder": folder, "written": not options.dry_run}
    tell([said], told, as_json=options.json)
    return _DONE


def _give_listed_ids(registry: Registry, *, dry_run: bool, as_json: bool) -> None:
    """Fill an empty registry with the ids that the log has, by its list."""
    brokers = brokers_needed()
    listed = SchemaIdLog(brokers, kafka=KafkaSecurity.from_env(os.environ).librdkafka()).read()
    if dry_run:
        texts_of(listed)
        return
    for schema_id, subject in register_listed(registry, listed):
        if not as_json:  # Which tells the ids of all of them behind this.
            print(f"{schema_id:>6}  {'as listed':15} {subject}")


def _register_and_print(options: argparse.Namespace) -> int:
    registry = PatientRegistry(options.registry, options.wait)
    if options.listed:
        _give_listed_ids(registry, dry_run=options.dry_run, as_json=options.json)
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
    found = SchemaIds(ids, f"the registry {registry.url}")
    if options.pin and len(ids) == len(done):
        write_ids(PINS_FILE, found)
    try:
        agreed_with_pins(found)
    except ContradictoryIdsError as error:
        print(f"register_schemas: {error}", file=sys.stderr)
        return _DIFFERENT
    return _DIFFERENT if any(each.state == WOULD_REGISTER for each in done) else _DONE


if __name__ == "__main__":
    sys.exit(until_stopped(main))
