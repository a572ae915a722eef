"""What a registry has of the current schemas, what is registered there, and what is released."""

import difflib
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.topics import subjects
from scripts.contracts.compatibility import incompatibilities
from scripts.contracts.linting import lint
from serdes.avro.schema_files import HISTORY, current, load, qualified
from serdes.registry.client import QUESTIONS_AT_ONCE, Registry, RegistryRefusedError, id_in, quoted

COMPATIBILITY = "FULL_TRANSITIVE"
WOULD_REGISTER = "would register"
"""State of what a dry run would have registered."""
_NOT_FOUND, _CONFLICT = 404, 409
_VERSION = re.compile(r"v[1-9][0-9]*")


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
    # Two questions in place of five for each schema, where all of them are still to come.
    is_empty = not dry_run and _is_empty(registry)

    def prepare(subject_and_record: tuple[str, str]) -> Registration:
        subject, record = subject_and_record
        if is_empty:
            _demand(registry, subject)
            return Registration(subject, None, "new")
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


def _is_empty(registry: Registry) -> bool:
    """Say whether the registry has no subject; False as well where it does not tell."""
    try:
        return bool(registry.call("GET", "subjects") == [])
    except RegistryRefusedError:
        # Not everybody who may register may list.
        return False


def _demand(registry: Registry, subject: str) -> None:
    """Demand compatibility of a subject, before it has a schema.

    A registry whose default is NONE would take anything.
    """
    registry.call("PUT", f"config/{quoted(subject)}", {"compatibility": COMPATIBILITY})


def _prepared(registry: Registry, subject: str, text: str, *, dry_run: bool) -> Registration:
    """Return what is to be done for a subject, and demand compatibility of it."""
    schema_id = registry.id_of(subject, text)
    if not dry_run:
        _demand(registry, subject)
    if schema_id is not None:
        return Registration(subject, schema_id, "registered")
    is_new = latest(registry, subject) is None
    if dry_run:
        fits = is_new or _fits(registry, subject, text)
        return Registration(subject, None, WOULD_REGISTER if fits else "incompatible")
    return Registration(subject, None, "new" if is_new else "new version")


def _register(registry: Registry, prepared: Registration, text: str) -> Registration:
    subject = prepared.subject
    try:
        answer = registry.call("POST", f"subjects/{quoted(subject)}/versions", {"schema": text})
    except RegistryRefusedError as error:
        if error.status == _CONFLICT:
            return Registration(subject, None, "incompatible")
        raise
    return Registration(subject, id_in(answer), prepared.state)


def _fits(registry: Registry, subject: str, text: str) -> bool:
    # Each by itself: to ask for all of them at once is not every registry's.
    path = f"compatibility/subjects/{quoted(subject)}/versions"
    numbers = [version.number for version in registry.versions_of(subject)]
    answers = (registry.call("POST", f"{path}/{number}", {"schema": text}) for number in numbers)
    return all(answer["is_compatible"] for answer in answers)


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
        before, after = (
            qualified(json.loads(registered)),
            qualified(json.loads(current().text(record))),
        )
        names = f"{subject} registered", "current"
        found = list(difflib.unified_diff(_pretty(before), _pretty(after), *names, "", ""))
        if found and _undocumented(before) == _undocumented(after):
            found.append(f"{subject}: only documentation differs")
        lines += found
    return lines


def _undocumented(schema: Any) -> Any:
    """Return a schema without what it says to people."""
    match schema:
        case dict():
            return {name: _undocumented(one) for name, one in schema.items() if name != "doc"}
        case list():
            return [_undocumented(one) for one in schema]
        case _:
            return schema


def _pretty(schema: Any) -> list[str]:
    # In one order of attributes: registries give them back in an order of their own.
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def release(root: Path, version: str, *, dry_run: bool = False) -> Path:
    """Copy the current schemas to the history, but in a dry run; return the new folder.

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
    for path in () if dry_run else files.path_by_name.values():
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return folder
