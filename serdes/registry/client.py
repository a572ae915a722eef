"""What a schema registry says: the ids of our schemas, and what an id stands for.

Nothing is ever registered from here; `scripts/register_schemas.py` does that.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from infra.process.dropped import unless_dropped
from infra.process.environment import without_password
from schemas.topics import subjects
from serdes.avro.schema_files import current
from serdes.registry.ids import (
    NOT_A_SCHEMA,
    RegisteredSchema,
    SchemaIds,
    meaning_of,
    schema_identity,
)
from serdes.registry.known_ids import KnownId, KnownIds, SchemaIdsError, forgotten
from serdes.wire import checked_id

QUESTIONS_AT_ONCE = 8
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_ANSWER_BYTES_MAX = 4 * 1024 * 1024
_NOT_FOUND = 404
# A registry's own codes for a subject, version or schema that it does not have begin so.
_ABSENT = 404

# What a connection and the reading of JSON raise.
_NO_ANSWER = (OSError, RecursionError, ValueError, http.client.HTTPException)


class RegistryUnavailableError(Exception):
    """The registry did not answer, or not as a registry.

    Operator action: start it, or check SCHEMA_REGISTRY_URL.
    """


class RegistryRefusedError(SchemaIdsError):
    """The registry answered with an error; `status` is the HTTP status.

    Operator action: the text names the reason.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class NotRegisteredError(SchemaIdsError):
    """A schema of this code is not registered under its subject.

    Operator action: `scripts/register_schemas.py register`, before this version is rolled out.
    """


class Version(NamedTuple):
    """One version of a subject, as a registry has it."""

    number: int
    schema_id: int
    text: str


class Registry:
    """A schema registry with Confluent's HTTP interface. Calls block up to `timeout_s` each.

    Nothing that is asked here harms twice: after a dropped connection it is asked again within
    that time.
    """

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self._address = url.rstrip("/")
        # What people are told: an address may carry a password, or a token.
        self.url = without_password(self._address)
        self._timeout_s = timeout_s
        # The registry is a neighbour: a proxy for the internet cannot reach it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer of one request.

        Raises RegistryRefusedError for an error of the registry, RegistryUnavailableError for
        everything else that is not an answer.
        """
        if "@" in urllib.parse.urlsplit(self._address).netloc:
            # Taken for a part of the host's name, which an error would show.
            raise RegistryUnavailableError(
                f"{self.url}: an address with a user or a password is not understood"
            )
        if not self._address.startswith(("http://", "https://")):
            raise RegistryRefusedError(
                0, f"{self.url}: the address of a registry is http://host:port"
            )
        request = urllib.request.Request(  # noqa: S310 (the scheme is checked above)
            f"{self._address}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": _MEDIA_TYPE, "Accept": f"{_MEDIA_TYPE}, application/json"},
        )
        where = f"{method} {self.url}/{path}"
        try:
            return unless_dropped(
                lambda left_s: self._answer(request, where, left_s), self._timeout_s
            )
        except _NO_ANSWER as error:
            raise RegistryUnavailableError(f"{where}: {error}") from error

    def _answer(self, request: urllib.request.Request, where: str, timeout_s: float) -> Any:
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return json.loads(_whole(answer))
        except urllib.error.HTTPError as error:
            with error:
                text = _whole(error).decode(errors="replace")
            raise _meaning(error.code, text, where) from error

    def id_of(self, subject: str, text: str) -> int | None:
        """Return the id of a schema text under a subject, or None where it is not registered.

        Some registries find a text by its bytes alone, and some have rewritten it before, or hold
        one for registered whose docs alone are others: of what is not found the newest version
        counts that says the same of records.
        """
        try:
            return id_in(self.call("POST", f"subjects/{quoted(subject)}", {"schema": text}))
        except RegistryRefusedError as error:
            if error.status != _NOT_FOUND:
                raise
        meaning = meaning_of(text, docs=False)
        for one in reversed(self.versions_of(subject)):
            if meaning_of(one.text, docs=False) == meaning:
                return one.schema_id
        return None

    def versions_of(self, subject: str) -> list[Version]:
        """Return all versions of a subject, oldest first; of one that is not there none."""
        path = f"subjects/{quoted(subject)}/versions"
        try:
            numbers = self.call("GET", path)
        except RegistryRefusedError as error:
            if error.status == _NOT_FOUND:
                return []
            raise
        found = []
        try:
            for number in sorted(int(one) for one in numbers):
                answer = self.call("GET", f"{path}/{number}")
                found.append(Version(number, id_in(answer), _text_of(answer["schema"])))
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryUnavailableError(f"{self.url}: an answer of another form") from error
        return found

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
            names = tuple(dict.fromkeys(_text_of(version["subject"]) for version in versions))
            return RegisteredSchema(names, _text_of(answer["schema"]))
        except (KeyError, TypeError) as error:
            raise RegistryUnavailableError(f"{self.url}: an answer of another form") from error


def check_has(registry: Registry, listed: Iterable[KnownId], sure: Container[int]) -> None:
    """Raise ContradictoryIdsError where the registry lacks an id that our records were given.

    A registry that was filled anew gives our schemas other ids, which contradict nothing; but
    nobody could read what lies in the log.

    sure: ids that it was asked for already.
    Raises as `Registry.call`.
    """
    ours = frozenset(subjects().values())
    asked = [one for one in listed if one.record in ours and one.schema_id not in sure]
    with ThreadPoolExecutor(max_workers=QUESTIONS_AT_ONCE) as pool:
        answers = pool.map(lambda one: registry.schema_of(one.schema_id), asked)
        for one, registered in zip(asked, answers, strict=True):
            if registered is None:
                raise forgotten(one, registry.url)
            KnownIds().check((one, registered.known_as(one.schema_id, f"registry {registry.url}")))


def quoted(subject: str) -> str:
    """Return a subject as a part of a path."""
    return urllib.parse.quote(subject, safe="")


def fetch_ids(registry: Registry) -> SchemaIds:
    """Return the ids of all our schemas, each asked for both ways: text to id, and id to text.

    Raises NotRegisteredError, ContradictoryIdsError, and as `Registry.call`.
    """
    record_by_subject = subjects()
    with ThreadPoolExecutor(max_workers=QUESTIONS_AT_ONCE) as pool:
        ids = list(
            pool.map(lambda each: _confirmed_id(registry, *each), record_by_subject.items())
        )
    return SchemaIds(dict(zip(record_by_subject, ids, strict=True)), f"registry {registry.url}")


def _confirmed_id(registry: Registry, subject: str, record: str) -> int:
    text = current().text(record)
    schema_id = registry.id_of(subject, text)
    if schema_id is None:
        raise NotRegisteredError(
            f"{subject}: this version of {record} is not registered at {registry.url}. Register "
            "it: python -m scripts.register_schemas register. But where it was registered "
            'before, the registry has lost its data: see "Ids that contradict each other" in '
            "docs/operations.md first"
        )
    answer = registry.call("GET", f"schemas/ids/{schema_id}")
    try:
        told = json.loads(answer["schema"])
        name, fingerprint = schema_identity(told)
    except NOT_A_SCHEMA as error:
        raise RegistryUnavailableError(f"{registry.url}: an answer of another form") from error
    asked_by_text, asked_by_id = f"subjects/{subject}", f"schemas/ids/{schema_id}"
    own = KnownId(
        schema_id, record, current().fingerprint(record), f"{registry.url}/{asked_by_text}"
    )
    KnownIds().check((own, KnownId(schema_id, name, fingerprint, f"{registry.url}/{asked_by_id}")))
    return schema_id


def id_in(answer: Any) -> int:
    """Return the id in an answer; raises RegistryUnavailableError where there is none."""
    try:
        return checked_id(answer["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryUnavailableError(f"an answer without an id: {answer!r:.200}") from error


def _text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.200} is not a text")
    return value


def _whole(answer: Any) -> bytes:
    """Return an answer's body; raises IncompleteRead where the connection ended before it did."""
    body: bytes = answer.read(_ANSWER_BYTES_MAX)
    # Without any length, and nothing there: it ended among the headers.
    is_cut = answer.length if body else answer.length != 0
    if is_cut and len(body) < _ANSWER_BYTES_MAX:
        raise http.client.IncompleteRead(body, answer.length)
    return body


def _meaning(status: int, text: str, where: str) -> Exception:
    """Return what an answer with an error status means."""
    told = f"{where}: {status}"
    is_server_fault = status >= http.client.INTERNAL_SERVER_ERROR
    # A proxy, or a path where there is no registry: that is no "there is none".
    if is_server_fault or (status == _NOT_FOUND and not _says_absent(text)):
        return RegistryUnavailableError(f"{told} {text[:500]}")
    return RegistryRefusedError(status, f"{told} {_message_of(text)}")


def _says_absent(text: str) -> bool:
    """Say whether the registry itself says that it lacks what was asked for.

    The code 404 alone is its word for a path that it does not have.
    """
    try:
        code = json.loads(text)["error_code"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return False
    return isinstance(code, int) and code // 100 == _ABSENT


def _message_of(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (KeyError, RecursionError, TypeError, ValueError):
        return text[:500]
