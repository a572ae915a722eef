"""`seatstream schemas versions` and `seatstream schemas promote`."""

import json
from typing import Any

import click

from schemas.topics import subjects
from scripts.brokers.addresses import NotUp, address_needed
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.promoting import planned, promote, release_of, versions_in
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    change_options,
    command,
    confirmed,
    failing,
    json_option,
)
from serdes.registry.client import RegistryRefusedError, RegistryUnavailableError


class Contradicted(Exception):
    """The target says something else than the source, or the source nothing at all.

    Nothing was registered. Operator action: find out which of the two is right; a target that was
    filled by mistake, and that no record was written with, is made anew from an empty one.
    """


FAILURES = (Contradicted, NotUp, RegistryRefusedError, RegistryUnavailableError)
wait_option = click.option(
    "--wait", type=click.FloatRange(0), default=PATIENCE_S, help="Seconds to ask again; 0 never."
)


@command("versions")
@click.option("--registry", default="", help="Its address, instead of SCHEMA_REGISTRY_URL.")
@wait_option
@json_option
@failing(*FAILURES)
def versions(*, registry: str, wait: float, as_json: bool) -> int:
    """List every version of our subjects in a registry: number, id, and the release it is of.

    Ends with 1 where a subject is not there.
    Example: seatstream schemas versions
    """
    url = registry or address_needed("registry", "--registry")
    found = versions_in(PatientRegistry(url, wait), subjects())
    told: dict[str, list[dict[str, Any]]] = {
        subject: [
            {"version": one.number, "id": one.schema_id, "release": release_of(subject, one.text)}
            for one in there
        ]
        for subject, there in found.items()
    }
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        for subject, listed in told.items():
            click.echo(subject if listed else f"{subject}: not registered")
            for each in listed:
                release = each["release"] or "not released"
                click.echo(f"  version {each['version']}  id {each['id']}  {release}")
    return DONE if all(told.values()) else FOUND


@command("promote")
@click.option("--from", "source", required=True, metavar="URL", help="Registry that has them.")
@click.option("--to", "target", required=True, metavar="URL", help="Registry that gets them.")
@wait_option
@change_options
@failing(*FAILURES)
def promote_schemas(
    *, source: str, target: str, wait: float, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Carry every version of our subjects from one registry to another, in order.

    Nothing is registered where the target contradicts the source in any subject. Ids are the
    target's own: records are read in the cluster of the registry that they were written with.
    Run again it goes on.
    Example: seatstream schemas promote --from http://staging:8081 --to http://prod:8081 --dry-run
    """
    to = PatientRegistry(target, wait)
    from_ = PatientRegistry(source, wait)
    has = versions_in(from_, subjects())
    if not any(has.values()):
        # Else any target would have "all of them".
        raise Contradicted(f"{from_.url} has none of our subjects: is it the right registry?")
    promotions = planned(has, versions_in(to, subjects()))
    against = [f"{one.subject}: {one.why}" for one in promotions if one.why]
    if against:
        raise Contradicted("; ".join(against))
    lines = [f"{one.subject}: version {v.number}" for one in promotions for v in one.lacks]
    unknown = [subject for subject, versions in has.items() if not versions]
    if not as_json:
        for line in lines or ["the target has all of them"]:
            click.echo(line)
        for subject in unknown:
            click.echo(f"{subject}: the source does not have it")
    elif dry_run or not lines:
        click.echo(json.dumps({"promoted": [], "lacks": lines, "unknown": unknown}))
    if dry_run or not lines:
        return FOUND if lines or unknown else DONE
    confirmed(f"Register {len(lines)} versions in {to.url}?", yes=yes)
    done = promote(to, promotions)
    left = planned(versions_in(from_, subjects()), versions_in(to, subjects()))
    if as_json:
        listed = [
            {"subject": subject, "version": version.number, "from": version.schema_id, "to": to_id}
            for subject, version, to_id in done
        ]
        told = {"promoted": listed, "lacks": [], "unknown": unknown}
        click.echo(json.dumps(told, indent=2))
    else:
        for subject, version, to_id in done:
            click.echo(f"{subject} {version.number}: id {version.schema_id} -> {to_id}")
    return FOUND if unknown or any(one.lacks or one.why for one in left) else DONE
