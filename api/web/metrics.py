"""The metrics of one pod: every name, unit and meaning stands here.

Rows that are read belong to the parts, which count them for themselves.
"""

from typing import Final

from infra.process.metrics import (
    Metrics,
    counter,
    gauge,
    histogram,
    read_counter,
    read_gauge,
)

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class ApiMetrics(Metrics):
    """The table of a pod; docs/http-api.md shows it to operators."""

    # Requests.
    requests = counter(
        "seatstream_api_requests",
        "Requests answered, by route and status; look-ups from memory included.",
        "route",
        "status",
    )
    request_seconds = histogram(
        "seatstream_api_request_seconds",
        "From the arrival of a request to the end of its answer, but for streams.",
        "route",
        buckets=_SECONDS,
    )
    problems = counter("seatstream_api_problems", "Requests refused, by reason.", "reason")
    limits_allowed = read_counter(
        "seatstream_api_limits_allowed", "Requests within their rate limits."
    )
    limits_refused = read_counter("seatstream_api_limits_refused", "Requests over a rate limit.")
    limits_skipped = read_counter(
        "seatstream_api_limits_skipped",
        "Requests whose rate limits nobody counted: Redis is down, or there is none.",
    )
    pre_locks_locked = read_counter(
        "seatstream_api_pre_locks_locked",
        "Requests whose chosen seats were locked before the log was asked.",
    )
    pre_locks_refused = read_counter(
        "seatstream_api_pre_locks_refused", "Requests for a seat that another buyer had locked."
    )
    pre_locks_skipped = read_counter(
        "seatstream_api_pre_locks_skipped",
        "Locks of chosen seats that Redis did not answer for: the log decides without.",
    )
    promotion_cycles = read_counter(
        "seatstream_api_promotion_cycles", "Cycles of promotion that this pod ran to their ends."
    )
    promoted = read_counter(
        "seatstream_api_promoted", "Users who were let in from waiting rooms by this pod."
    )
    waiting_gone = read_counter(
        "seatstream_api_waiting_gone",
        "Users who were given up, waiting or let in: nothing was heard of them.",
    )
    promotion_failures = read_counter(
        "seatstream_api_promotion_failures", "Tries at waiting rooms that failed."
    )
    promotion_unsure = read_counter(
        "seatstream_api_promotion_unsure",
        "Cycles that let nobody into a room, for nobody knew what can be bought.",
    )
    promoting = read_gauge(
        "seatstream_api_promoting", "1 at the pod that lets others in from waiting rooms."
    )
    admissions_unchecked = read_counter(
        "seatstream_api_admissions_unchecked",
        "Entry tokens that counted by themselves, for Redis did not answer.",
    )
    booking_length = gauge(
        "seatstream_booking_queue_length",
        "Items of the booking queue that are not over, as this pod's last look through it found.",
    )
    booking_oldest_seconds = gauge(
        "seatstream_booking_queue_oldest_seconds",
        "How long the first of those who wait for their turn is there, of the slowest event.",
    )
    booking_dead = gauge(
        "seatstream_booking_queue_dead", "Items of the booking queue that wait for an operator."
    )
    booking_processed = counter(
        "seatstream_booking_items_processed",
        "Items of the booking queue that this pod carried out, by what came of it.",
        "outcome",
    )
    booking_seconds = histogram(
        "seatstream_booking_processing_duration_seconds",
        "From taking an item of the booking queue to recording what came of it.",
        buckets=(*_SECONDS, 30.0, 60.0),
    )
    booking_errors = counter(
        "seatstream_booking_errors",
        "Attempts at items of the booking queue without an outcome, by reason.",
        "reason",
    )
    booking_notices = counter(
        "seatstream_booking_notices",
        "What users were to be told of their items by the realtime service, by what came of it.",
        "outcome",
    )
    booking_notices_waiting = read_gauge(
        "seatstream_booking_notices_waiting",
        "What the realtime service has not taken over yet: the newest of each item.",
    )
    locks_swept = read_counter(
        "seatstream_api_locks_swept",
        "Locks removed by looking through all of them: their holds were over, or none of ours.",
    )
    locks = read_gauge(
        "seatstream_api_locks", "Locks of seats, as the last look through them found."
    )
    redis_evicts = read_gauge(
        "seatstream_api_redis_evicts",
        "1 while Redis would drop keys for room: no pod starts with it.",
    )
    tokens_verified = read_counter("seatstream_api_tokens_verified", "Tokens verified anew.")
    tokens_refused = read_counter("seatstream_api_tokens_refused", "Tokens refused.")
    troubles = read_gauge(
        "seatstream_api_troubles", "Topics that cannot be followed, or appended to, now."
    )
    streams_open = gauge("seatstream_api_streams_open", "Event streams that are open.")
    streams_dropped = counter(
        "seatstream_api_streams_dropped",
        "Event streams ended because their client read too slowly.",
    )

    # Commands and their outcomes.
    produce_seconds = histogram(
        "seatstream_api_produce_seconds",
        "From handing a command to the producer to the brokers' acknowledgement.",
        buckets=_SECONDS,
    )
    outcome_seconds = histogram(
        "seatstream_api_outcome_seconds",
        "From handing a command to the producer to its committed outcome.",
        buckets=_SECONDS,
    )
    commands_in_flight = gauge(
        "seatstream_api_commands_in_flight", "Commands whose outcome is being waited for."
    )
    commands_overloaded = read_counter(
        "seatstream_api_commands_overloaded", "Commands refused for room."
    )
    idempotency_unknown = read_counter(
        "seatstream_api_idempotency_unknown",
        "Idempotency keys that nobody compared: Redis is down, or there is none.",
    )
    commands_appended = read_counter(
        "seatstream_commands_appended", "Records that the brokers acknowledged, by topic.", "topic"
    )
    commands_refused = read_counter(
        "seatstream_commands_refused",
        "Records that were certainly not appended, by topic.",
        "topic",
    )
    commands_unknown = read_counter(
        "seatstream_commands_unknown", "Records of which nobody knows, by topic.", "topic"
    )
    commands_unacknowledged = read_gauge(
        "seatstream_commands_unacknowledged", "Records on their way, by topic.", "topic"
    )
    partitions_stuck = read_gauge(
        "seatstream_commands_partitions_stuck", "Partitions that take nothing, by topic.", "topic"
    )
    booking_log_bad = read_counter(
        "seatstream_booking_log_bad", "Records of the booking queue skipped as none of a pod's."
    )
    booking_log_staleness_seconds = read_gauge(
        "seatstream_booking_log_staleness_seconds",
        "Age of what is known of the booking queue in Kafka.",
    )
    waiters = read_gauge("seatstream_api_waiters", "Requests that wait for an outcome.")
    outcomes_records = read_counter("seatstream_outcomes_records", "Outcomes taken in.")
    outcomes_bad = read_counter("seatstream_outcomes_bad", "Outcomes skipped as unreadable.")
    outcomes_reservations = read_gauge(
        "seatstream_outcomes_reservations", "Reservations in memory."
    )
    outcomes_bytes = read_gauge("seatstream_outcomes_bytes", "Size of the reservations in memory.")
    outcomes_staleness_seconds = read_gauge(
        "seatstream_outcomes_staleness_seconds", "Age of what is known of reservations."
    )

    # The availability view.
    view_lookups = read_counter("seatstream_view_lookups", "Sections asked for in memory.")
    view_misses = read_counter(
        "seatstream_view_misses", "Sections asked for that the view does not know."
    )
    view_refused = read_counter("seatstream_view_refused", "Prefilter: requests refused.")
    view_passed = read_counter("seatstream_view_passed", "Prefilter: requests passed to the log.")
    view_stepped_aside = read_counter(
        "seatstream_view_stepped_aside", "Prefilter: passed because the view was too old."
    )
    view_unknown_passed = read_counter(
        "seatstream_view_unknown_passed", "Prefilter: passed because the section is unknown."
    )
    view_too_stale = read_counter(
        "seatstream_view_too_stale", "Waits that ended without the age demanded."
    )
    view_not_yet = read_counter(
        "seatstream_view_not_yet", "Waits that ended without the version demanded."
    )
    view_records = read_counter("seatstream_view_records", "Records of section-status taken in.")
    view_older = read_counter(
        "seatstream_view_older", "Records skipped because of a lower version."
    )
    view_contradicted = read_counter(
        "seatstream_view_contradicted", "Records with a known version and other counts."
    )
    view_readings = read_counter(
        "seatstream_view_readings", "Times the topic was read from its beginning."
    )
    view_bad = read_counter("seatstream_view_bad", "Records skipped as unreadable.")
    view_miss_share = read_gauge(
        "seatstream_view_miss_share", "Misses among the look-ups of a minute."
    )
    view_sections = read_gauge("seatstream_view_sections", "Sections in memory.")
    view_staleness_seconds = read_gauge(
        "seatstream_view_staleness_seconds", "Age of the oldest partition of the view."
    )

    # Seat maps and events.
    seat_maps_kept = read_counter("seatstream_seat_maps_kept", "Seat maps served from memory.")
    seat_maps_looked_up = read_counter(
        "seatstream_seat_maps_looked_up", "Seat maps asked of owners."
    )
    seat_maps_shared = read_counter(
        "seatstream_seat_maps_shared", "Requests that shared a look-up."
    )
    seat_maps = read_gauge("seatstream_seat_maps", "Seat maps in memory.")
    events = read_gauge("seatstream_events", "Events in memory.")
    events_records = read_counter("seatstream_events_records", "Records of events taken in.")
    events_older = read_counter("seatstream_events_older", "Records of events that did not stand.")
    events_bad = read_counter("seatstream_events_bad", "Records of events skipped as unreadable.")
    events_staleness_seconds = read_gauge(
        "seatstream_events_staleness_seconds", "Age of what is known of events."
    )
