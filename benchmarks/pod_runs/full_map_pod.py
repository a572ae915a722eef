"""A pod as before the slimming: `python -m api`, but its view reads whole seat maps.

Everything else is the pod of today: feed, contents, look-ups, HTTP. Of a seat map it uses the
counts and drops the seats, as the consumers of seat maps did.

Run by `python -m benchmarks.pods slimming`.
"""

import os
import sys

import uvloop

from api.building import whole_pod
from api.pod import Pod
from api.serving import serve
from api.settings import ApiSettings
from benchmarks.pod_runs.statuses import MAP_TOPIC, SLIM, read_seat_map
from infra.process.log_lines import configure
from schemas.topics import SECTION_STATUS
from serdes.decoding import TOMBSTONE, Decoded, Headers, TopicDecoder, Verdict
from serdes.registry.ids import SchemaIds
from serdes.schema_source import SchemaSource
from state.views.availability.view import AvailabilityView


class SeatMapDecoder(TopicDecoder):
    """Decodes whole seat maps into the counts that a pod keeps."""

    def __init__(self, ids: SchemaIds) -> None:
        super().__init__(SECTION_STATUS, ids)

    def decode(self, value: bytes | None, headers: Headers = ()) -> Verdict:  # noqa: ARG002
        """Return the counts of a seat map; whatever else is there is a mistake of ours."""
        if value is None:
            return TOMBSTONE
        fields = read_seat_map(value)
        del fields["seatStatuses"]
        fields["section"] = fields["section"].encode()
        return Decoded(SLIM, tuple(fields.values()))


class SeatMapView(AvailabilityView):
    """The availability view over a topic of seat maps."""

    def __init__(self, brokers: str, ids: SchemaIds) -> None:
        super().__init__(brokers, topic=MAP_TOPIC)
        # Readings are made with it, the first one by the thread that `start` starts.
        self._decoder = SeatMapDecoder(ids)


def seat_map_pod(settings: ApiSettings) -> Pod:
    """Return a pod that answers from seat maps."""
    ids = SchemaSource(settings.registry_url, settings.cache_dir / "schema-ids.json").ids()
    return whole_pod(settings, SeatMapView(settings.brokers, ids))


def main() -> int:
    """Run the pod until a signal ends it; return the exit code."""
    settings = ApiSettings.from_env(os.environ)
    configure(settings.log_format, settings.log_level)
    return 0 if uvloop.run(serve(settings, seat_map_pod(settings))) else 1


if __name__ == "__main__":
    sys.exit(main())
