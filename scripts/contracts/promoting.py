"""Schemas carried from one registry to another, version by version, or not at all."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from schemas.topics import subjects
from scripts.contracts.registering import COMPATIBILITY
from scripts.program.progress import progress
from serdes.avro.schema_files import digest_of, fingerprint_of, releases
from serdes.registry.client import Registry, Version, id_in, quoted
from serdes.registry.ids import NOT_A_SCHEMA, meaning_of


class Promotion(NamedTuple):
    """What one subject lacks in the target, in order.

    why: what makes it impossible; empty where it is possible.
    """

    subject: str
    lacks: tuple[Version, ...]
    why: str = ""


def planned(
    source: Mapping[str, Sequence[Version]], target: Mapping[str, Sequence[Version]]
) -> list[Promotion]:
    """Return what is to be registered for each subject of the source.

    A target that begins as the source does lacks the rest; any other is contradicted: what its
    records mean would depend on which registry a reader asks.
    """
    found = []
    for subject, versions in source.items():
        known = target.get(subject, ())
        why = ""
        for there, here in zip(known, versions, strict=False):
            if meaning_of(there.text) != meaning_of(here.text):
                why = f"its version {there.number} says something else than the source's"
                break
        if not why and len(known) > len(versions):
            why = f"it has {len(known)} versions, the source {len(versions)}"
        lacks = () if why else tuple(versions[len(known) :])
        found.append(Promotion(subject, lacks, why))
    return found


def versions_in(registry: Registry, names: Iterable[str]) -> dict[str, list[Version]]:
    """Return all versions of subjects, oldest first; a subject that is not there has none."""
    found: dict[str, list[Version]] = {}
    listed = [*names]
    with progress(f"subjects of {registry.url} read") as told:
        for name in listed:
            found[name] = registry.versions_of(name)
            told(len(found), len(listed))
    return found


def promote(registry: Registry, promotions: Sequence[Promotion]) -> list[tuple[str, Version, int]]:
    """Register what a target lacks; return subject, version of the source, and id in the target.

    Run again it goes on: what is there is lacked no more. Raises as `Registry.call`.
    """
    done = []
    total = sum(len(promotion.lacks) for promotion in promotions)
    with progress("versions registered") as told:
        for promotion in promotions:
            path = quoted(promotion.subject)
            if promotion.lacks:
                # First: a registry whose default is NONE would take anything.
                registry.call("PUT", f"config/{path}", {"compatibility": COMPATIBILITY})
            for version in promotion.lacks:
                body = {"schema": version.text}
                answer = registry.call("POST", f"subjects/{path}/versions", body)
                done.append((promotion.subject, version, id_in(answer)))
                told(len(done), total)
    return done


def release_of(subject: str, text: str) -> str:
    """Return which release wrote a schema first, such as `v2`; empty where none did."""
    name = subjects().get(subject, "")
    wanted = _fingerprint(text)
    for number, files in enumerate(releases(), start=1):
        if name in files.path_by_name and _fingerprint(files.text(name)) == wanted:
            return f"v{number}"
    return ""


def _fingerprint(text: str) -> str:
    try:
        return fingerprint_of(json.loads(text))
    except NOT_A_SCHEMA:
        return digest_of(text)
