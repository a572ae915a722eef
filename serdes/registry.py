"""Schema ids, fetched once at start; what an unknown id stands for, asked when one turns up.

Where the ids come from, in this order:

1. The registry: our exact text is looked up under each pinned subject. Nothing is ever
   registered from here (`scripts/register_schemas.py` does that).
2. The registry cannot be reached: the cache file that the last successful start wrote.
3. The pins of the repository, if the caller names them. Ids differ between registries, so they
   fit only a registry that was filled by `register_schemas.py register` when it was empty.

An id from a file is used only while its schema is, to the byte, the one of this code.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.topics import subjects
from serdes.schema_files import SCHEMA_ROOT, current, digest_of
from serdes.schema_ids import RegisteredSchema, SchemaIds

PINS_FILE = SCHEMA_ROOT / "pinned_ids.json"

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_ANSWER_BYTES_MAX = 4 * 1024 * 1024
_NOT_FOUND = 404


class RegistryUnavailableError(Exception):
    """The registry did not answer, or not as a registry.

    Operator action: start it, or check SCHEMA_REGISTRY_URL.
    """


class RegistryRefusedError(Exception):
    """The registry answered with an error; `status` is the HTTP status.

    Operator action: the text names the reason.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class NotRegisteredError(Exception):
    """A schema of this code is not registered under its subject.

    Operator action: `scripts/register_schemas.py register`, before this version is rolled out.
    """


class NoSchemaIdsError(Exception):
    """The registry is down, and no file knows the ids of these schemas.

    Operator action: start the registry.
    """


class Registry:
    """A schema registry with Confluent's HTTP interface. Calls block up to `timeout_s` each."""

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        # The registry is a neighbour: a proxy for the internet cannot reach it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer of one request.

        Raises RegistryRefusedError for an error of the registry, RegistryUnavailableError for
        everything else that is not an answer.
        """
        request = urllib.request.Request(  # noqa: S310 (the scheme is checked by `build_opener`)
            f"{self.url}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": _MEDIA_TYPE, "Accept": f"{_MEDIA_TYPE}, application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return json.loads(answer.read(_ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(_ANSWER_BYTES_MAX).decode(errors="replace")
            where = f"{method} {self.url}/{path}: {error.code}"
            if error.code >= http.client.INTERNAL_SERVER_ERROR:
                raise RegistryUnavailableError(f"{where} {text[:500]}") from error
            raise RegistryRefusedError(error.code, f"{where} {_message_of(text)}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RegistryUnavailableError(f"{method} {self.url}/{path}: {error}") from error

    def id_of(self, subject: str, text: str) -> int | None:
        """Return the id of a schema text under a subject, or None where it is not registered."""
        try:
            return _id_in(self.call("POST", f"subjects/{quoted(subject)}", {"schema": text}))
        except RegistryRefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def schema_of(self, schema_id: int) -> RegisteredSchema | None:
        """Return what an id stands for, or None where the registry does not know it."""
        try:
            answer = self.call("GET", f"schemas/ids/{schema_id}")
            versions = self.call("GET", f"schemas/ids/{schema_id}/versions")
        except RegistryRefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        try:
            names = tuple(dict.fromkeys(str(version["subject"]) for version in versions))
            return RegisteredSchema(names, str(answer["schema"]))
        except (KeyError, TypeError) as error:
            raise RegistryUnavailableError(f"{self.url}: an answer of another form") from error


def quoted(subject: str) -> str:
    """Return a subject as a part of a path."""
    return urllib.parse.quote(subject, safe="")


def fetch_ids(registry: Registry) -> SchemaIds:
    """Return the ids of all our schemas. Raises NotRegisteredError, and as `Registry.call`."""
    id_by_subject: dict[str, int] = {}
    for subject, record in subjects().items():
        schema_id = registry.id_of(subject, current().text(record))
        if schema_id is None:
            raise NotRegisteredError(f"{subject}: this version of {record} is not registered")
        id_by_subject[subject] = schema_id
    return SchemaIds(id_by_subject, "registry")


def ids_at_start(registry: Registry, cache: Path | None, pins: Path | None) -> SchemaIds:
    """Return the ids, from the first source that has them; `source` says which.

    cache: written after a successful fetch, read when the registry is down.
    pins:  the repository's ids, or None where another registry gave other ids.

    Raises NoSchemaIdsError when no source has them, NotRegisteredError when the registry says no.
    """
    try:
        ids = fetch_ids(registry)
    except RegistryUnavailableError as error:
        reasons = [str(error)]
        for kind, path in (("cache", cache), ("pins", pins)):
            if path is not None:
                try:
                    return SchemaIds(read_ids(path), f"{kind} {path}")
                except (OSError, ValueError) as fault:
                    reasons.append(f"{kind}: {fault}")
        raise NoSchemaIdsError("; ".join(reasons)) from error
    if cache is not None:
        write_ids(cache, ids)
    return ids


def write_ids(path: Path, ids: SchemaIds) -> None:
    """Write ids with the digests of their texts, whole or not at all."""
    record_by_subject = subjects()
    entries = {
        subject: {"id": schema_id, "digest": digest_of(current().text(record_by_subject[subject]))}
        for subject, schema_id in ids.id_by_subject.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(path.name + ".new")
    written.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    written.replace(path)


def read_ids(path: Path) -> dict[str, int]:
    """Return ids by subject.

    Raises OSError, or ValueError where the file lacks a schema of this code or holds another text.
    """
    entries = json.loads(path.read_text(encoding="utf-8"))
    id_by_subject: dict[str, int] = {}
    for subject, record in subjects().items():
        try:
            entry = entries[subject]
            digest, schema_id = entry["digest"], int(entry["id"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} has no id of {subject}") from error
        if digest != digest_of(current().text(record)):
            raise ValueError(f"{path} is of another version of {record}")
        id_by_subject[subject] = schema_id
    return id_by_subject


def _id_in(answer: Any) -> int:
    try:
        return int(answer["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryUnavailableError(f"an answer without an id: {answer!r:.200}") from error


def _message_of(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (KeyError, TypeError, ValueError):
        return text[:500]
