"""The table of contents: which topic goes through which handler, to which topics and store.

`faust -A topology worker` starts a worker with the settings of its environment
(`streams/settings.py`). Importing this module opens nothing: `app` is built on first access.
"""

import os
from functools import partial

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    EVENTS,
    PAYMENT_COMMANDS,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from serdes.decoding import TopicDecoder
from serdes.registry.known_ids import IdLogUnavailableError, SchemaIdsError
from serdes.schema_source import Answer, SchemaSource
from state.domain.keys import may_store
from state.kafka.schema_id_log import SchemaIdLog
from state.records.seat_codecs import SeatCodecs
from streams.change_sections import (
    change_sections,
    contradiction,
    progress,
    refuse_poison,
    retold_statuses,
)
from streams.emit_ticks import emit_ticks
from streams.route import Route, played
from streams.runtime.app import BatchApp
from streams.runtime.process.fatal import end_process
from streams.settings import Settings

# API pods are no workers: they follow these topics whole, in memory, and append to those.
POD_READS = (SECTION_STATUS.name, RESERVATION_OUTCOMES.name, EVENTS.name)
POD_WRITES = (SECTION_COMMANDS.name, EVENTS.name)


def routes(codecs: SeatCodecs, *, cached_seats: int) -> tuple[Route, ...]:
    """Return the whole flow; cached_seats bounds the decoded sections of one partition."""
    return (
        # The only writer of seats: section state is a fold of this topic.
        Route(
            role="seats",
            source=SECTION_COMMANDS.name,
            handler=change_sections(codecs, cached_seats_max=cached_seats),
            to=(RESERVATION_OUTCOMES.name, SECTION_STATUS.name, PAYMENT_COMMANDS.name),
            changelog=SEATS_CHANGELOG.name,
            dead_letters=DEAD_LETTER_QUEUE.name,
            progress=progress,
            tick=emit_ticks(codecs.tick),
            retold=retold_statuses(codecs),
            refuse=refuse_poison(codecs),
            owns=may_store,
            contradiction=contradiction(codecs),
        ),
    )


def _ask(source: SchemaSource, decoder: TopicDecoder, schema_id: int) -> bool | None:
    """Ask what an id stands for, in the words of the runtime."""
    try:
        answer = source.ask(decoder, schema_id)
    except IdLogUnavailableError:
        # What it stands for could not be listed: asked again, it is.
        return False
    return None if answer is Answer.UNKNOWN else answer is Answer.KNOWN


def build_app(settings: Settings) -> BatchApp:
    """Return the Faust app of a worker that plays the roles of its settings.

    Raises BadSetting for a role that no route has.
    """
    id_log = SchemaIdLog(settings.brokers, kafka=settings.kafka.librdkafka())
    cache = settings.data_dir / "schema-ids.json"
    source = SchemaSource(settings.registry_url, cache, id_log, appends=True)
    try:
        ids = source.ids()
    except SchemaIdsError as error:
        end_process(f"schema ids: {type(error).__name__}: {error}")
    codecs = SeatCodecs.of(ids)
    cached_seats = settings.section_cache_seats // SECTION_COMMANDS.partitions
    return BatchApp(
        settings,
        played(routes(codecs, cached_seats=cached_seats), settings.roles),
        ask_registry=partial(_ask, source, codecs.commands),
        confirm=source.confirm,
        notes=(f"schema ids from {ids.source}",),
    )


def __getattr__(name: str) -> BatchApp:
    if name != "app":
        raise AttributeError(name)
    return build_app(Settings.from_env(os.environ))
