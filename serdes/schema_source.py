"""Where a process gets its schema ids from, and what it compares them with before it works.

Ids come from the first of these that has them:

1. the registry;
2. while it cannot be reached, the cache that the last start with a registry wrote;
3. the pins of the repository. Ids differ between registries, so they fit only a registry that was
   filled by `register_schemas.py register` when it was empty.

The ids are then compared with the cache, the pins and the list beside the log (`IdLog`). Where one
of these gives an id to another schema, the start ends.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from threading import RLock
from time import monotonic
from typing import Final, Protocol

from schemas.topics import subjects
from serdes.avro.schema_files import current
from serdes.decoding import TopicDecoder
from serdes.registry.client import (
    Registry,
    RegistryRefusedError,
    RegistryUnavailableError,
    check_has,
    fetch_ids,
)
from serdes.registry.id_files import PINS_FILE, known_in, read_ids, write_ids
from serdes.registry.ids import SchemaIds
from serdes.registry.known_ids import (
    ContradictoryIdsError,
    KnownId,
    KnownIds,
    SchemaIdsError,
    forgotten,
)

REST_S: Final = 10.0
_PINS: Final = "pins"
_REGISTRY: Final = "registry"


class NoSchemaIdsError(SchemaIdsError):
    """The registry is down, and no file knows the ids of these schemas.

    Operator action: start the registry.
    """


class Answer(Enum):
    """How the question what an id stands for was answered."""

    KNOWN = auto()
    # The registry says so itself: the id was never given to anything.
    UNKNOWN = auto()
    # Nobody answered, or not as a registry.
    NONE = auto()


class IdLog(Protocol):
    """The list of ids that lies beside the log and outlives every process and registry."""

    def read(self) -> Sequence[KnownId]:
        """Return, for each id, the first schema that was listed with it.

        Raises IdLogUnavailableError where it cannot be read to its end.
        """

    def append(self, known: Iterable[KnownId]) -> None:
        """Add to the list; raises IdLogUnavailableError where that is not certain."""


def agreed_with_pins(ids: SchemaIds) -> SchemaIds:
    """Return the ids; raises ContradictoryIdsError where the pins of the repository say otherwise.

    Only of our own ids: in a registry that is shared the pins say nothing of those of others.
    """
    known = KnownIds()
    known.add(known_in(PINS_FILE))
    known.check(ids.known())
    return ids


class SchemaSource:
    """A registry by its url; an empty url means that there is none and the pins serve.

    cache:   where the ids of the last start lie, for when the registry is down.
    log:     the list beside the log; None where there is no log, or none is used.
    appends: whether ids that the list lacks are added to it: by workers, who decide by them.
    told:    called with each contradiction, in the thread that found it.
    """

    def __init__(
        self, registry_url: str, cache: Path, log: IdLog | None = None, *, appends: bool = False
    ) -> None:
        self._registry = Registry(registry_url) if registry_url else None
        # An empty path stands for no cache.
        self._cache = cache if cache.name else None
        self._log = log
        self._appends = appends
        self._ids: SchemaIds | None = None
        self._known = KnownIds()
        self._is_confirmed = False
        self._is_remembered = True
        self._rests_until_s = 0.0
        self.told: Callable[[ContradictoryIdsError], None] = lambda _: None
        # Re-entrant: `confirm` calls `ids`.
        self._lock = RLock()

    def ids(self) -> SchemaIds:
        """Return the ids of our own schemas, the same at every call; raises SchemaIdsError.

        Before they are used, `confirm` compares them with the log's list.
        """
        with self._lock:
            if self._ids is None:
                remembered = self._remembered()
                ids = agreed_with_pins(self._first_that_has_them())
                self._known.add(remembered)
                self._known.add(ids.known())
                self._ids = ids
            return self._ids

    def confirm(self) -> None:
        """Compare with the list beside the log, and remember; once, then nothing is done.

        Raises SchemaIdsError, and IdLogUnavailableError while the list cannot be had.
        """
        with self._lock:
            if self._is_confirmed:
                return
            ids = self.ids()
            if self._log is not None:
                listed = self._log.read()
                self._add(listed)
                self._check_listed(ids, listed)
                missing = self._unlisted(listed)
                # Pins in the place of a registry that is down are a guess: they are not listed.
                is_guess = self._registry is not None and ids.source.startswith(_PINS)
                if self._appends and missing and not is_guess:
                    self._log.append(missing)
                    # Another worker may have been first, by another registry.
                    self._add(self._log.read())
            # Last: what is not confirmed must not replace what knew better.
            try:
                self._remember(ids)
            except OSError as error:
                raise SchemaIdsError(
                    f"{self._cache} cannot be written: {error}. Make room for it, or give this "
                    "process a directory that it may write to; then start it again"
                ) from error
            self._is_confirmed = True

    def ask(self, schema_id: int, *decoders: TopicDecoder) -> Answer:
        """Ask once what an unknown id stands for, and tell the decoders.

        Blocks for some seconds while the registry does not answer. Raises ContradictoryIdsError
        where it is known to stand for something else, and IdLogUnavailableError.
        """
        if self._registry is None:
            return Answer.UNKNOWN
        try:
            registered = self._registry.schema_of(schema_id)
        except (RegistryUnavailableError, RegistryRefusedError):
            return Answer.NONE
        if registered is None:
            self._check_forgotten(schema_id)
            return Answer.UNKNOWN
        said = registered.known_as(schema_id, f"the registry {self._registry.url}")
        with self._lock:
            ids = self.ids()
            if any(subject in subjects() for subject in registered.subjects):
                is_new = schema_id not in {one.schema_id for one in self._known.all()}
                self._add([said], keep=False)
                if is_new and self._appends and self._log is not None:
                    self._log.append([said])
                self._add([said])
                if is_new or not self._is_remembered:
                    # Whoever reads goes on: the next start asks for what the cache lacks.
                    with suppress(OSError):
                        self._remember(ids)
            else:
                self._add([said], keep=False)
        for decoder in decoders:
            decoder.learn(schema_id, registered)
        return Answer.KNOWN

    def learn(self, decoder: TopicDecoder, schema_id: int) -> bool:
        """As `ask`; say whether the id is known now.

        For readers that go on without an answer. A registry that gave none is not asked again for
        REST_S seconds, whatever ids turn up: each question would hold the reader up anew.
        """
        if monotonic() < self._rests_until_s:
            return False
        answer = self.ask(schema_id, decoder)
        if answer is Answer.NONE:
            self._rests_until_s = monotonic() + REST_S
        return answer is Answer.KNOWN

    def _first_that_has_them(self) -> SchemaIds:
        if self._registry is None:
            return SchemaIds(read_ids(PINS_FILE), f"{_PINS} {PINS_FILE.name}")
        try:
            return fetch_ids(self._registry)
        except RegistryUnavailableError as error:
            reasons = [str(error)]
            for kind, path in (("cache", self._cache), (_PINS, PINS_FILE)):
                if path is not None:
                    try:
                        return SchemaIds(read_ids(path), f"{kind} {path}")
                    except (OSError, ValueError) as fault:
                        reasons.append(f"{kind}: {fault}")
            raise NoSchemaIdsError("; ".join(reasons)) from error

    def _remembered(self) -> list[KnownId]:
        if self._cache is None:
            return []
        try:
            return known_in(self._cache)
        except (OSError, ValueError) as error:
            raise SchemaIdsError(
                f"{self._cache} cannot be read: {error}. It may know better than the registry "
                "which schema an id stands for, so it is not overwritten. Mend it, or delete it "
                "if the registry is certainly the one that the log was written with"
            ) from error

    def _add(self, said: Iterable[KnownId], *, keep: bool = True) -> None:
        try:
            if keep:
                self._known.add(said)
            else:
                self._known.check(said)
        except ContradictoryIdsError as error:
            self.told(error)
            raise

    def _check_listed(self, ids: SchemaIds, listed: Sequence[KnownId]) -> None:
        """Raise where records of the log have ids that nobody who is asked can read."""
        if ids.source.startswith(_PINS):
            self._check_pins(ids, listed)
        elif self._registry is not None and ids.source.startswith(_REGISTRY):
            try:
                check_has(self._registry, listed, ids.by_id())
            except RegistryUnavailableError as error:
                raise NoSchemaIdsError(str(error)) from error

    def _check_pins(self, ids: SchemaIds, listed: Sequence[KnownId]) -> None:
        ids_by_record: dict[str, set[int]] = {}
        for one in listed:
            text = current().by_name.get(one.record)
            if text is not None and one.fingerprint == current().fingerprint(one.record):
                ids_by_record.setdefault(one.record, set()).add(one.schema_id)
        for pinned in ids.known():
            others = ids_by_record.get(pinned.record, set())
            if others and pinned.schema_id not in others:
                raise NoSchemaIdsError(
                    f"no registry answers, and the pinned id {pinned.schema_id} of "
                    f"{pinned.record} is not that of the log, which has {sorted(others)}. "
                    "Start the registry, or set SCHEMA_REGISTRY_URL; then start this process again"
                )

    def _check_forgotten(self, schema_id: int) -> None:
        """Raise where an id that the registry does not know is one that records have."""
        assert self._registry is not None
        with self._lock:
            for one in self._known.all():
                if one.schema_id == schema_id:
                    error = forgotten(one, self._registry.url)
                    self.told(error)
                    raise error

    def _unlisted(self, listed: Iterable[KnownId]) -> list[KnownId]:
        has = {one.schema_id for one in listed}
        return [one for one in self._known.all() if one.schema_id not in has and one.fingerprint]

    def _remember(self, ids: SchemaIds) -> None:
        """Write the cache; raises OSError, and then what was not written is due."""
        if self._cache is not None and self._registry is not None:
            self._is_remembered = False
            write_ids(self._cache, ids, self._known.all())
            self._is_remembered = True
