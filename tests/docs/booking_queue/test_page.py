"""What the page of the booking queue says is what the code has."""

from support.pages.document_pages import DOCS, code_in, section_of, table_rows

from api.booking import carriers, carrying, server, service
from api.booking.callers import CODES
from infra.process.breaker import Rules
from schemas.proto import booking_worker_pb2 as messages
from state.domain.booking_queue.figures import (
    CLEAN_EVERY_MS,
    CLEANED_AT_ONCE,
    ITEM_MS,
    LEASE_MS,
    LENGTH_MAX,
    LONGEST_PAUSE_MS,
    MS_PER_PLACE,
    RETRIES_MAX,
    pause_ms,
)
from state.domain.booking_queue.statuses import TRANSITIONS, ItemStatus

PAGE = DOCS / "booking-queue.md"


def test_every_status_is_told_with_those_that_may_follow() -> None:
    rows = {
        code_in(row[0])[0]: set(code_in(row[2])) for row in table_rows(PAGE, "Life of an item")
    }
    assert rows == {status: set(TRANSITIONS[status].values()) for status in ItemStatus}


def test_the_figures_are_those_of_the_code() -> None:
    text = section_of(PAGE, "Figures")
    pauses = [pause_ms(failed) for failed in range(1, RETRIES_MAX + 1)]
    for said in (
        f"| {LENGTH_MAX:,}; the next",
        f"included | {ITEM_MS // 1000} s |",
        f"worker | {LEASE_MS // 1000} s |",
        ", ".join(f"{(pause or 0) // 1000} s" for pause in pauses),
        f"never more than {LONGEST_PAUSE_MS // 1000} s",
        f"| {RETRIES_MAX}; then the item is dead",
        f"| {MS_PER_PLACE // 1000} s for each place",
    ):
        assert said in text


def test_every_method_and_every_code_is_told() -> None:
    told = {word for row in table_rows(PAGE, "Over gRPC") for word in code_in(row[0])}
    declared = messages.DESCRIPTOR.services_by_name["BookingWorkerService"].methods
    assert {method.name for method in declared} <= told
    of_the_library = {"DEADLINE_EXCEEDED", "INTERNAL"}
    assert {code.name for code in CODES.values()} | of_the_library <= told


def test_the_bounds_of_the_server_are_those_of_the_code() -> None:
    text = " ".join(section_of(PAGE, "Over gRPC").split())
    kib = server.MESSAGE_BYTES_MAX // 1024
    assert kib == server.METADATA_BYTES_MAX // 1024
    for said in (
        f"at most {kib} KiB",
        f"{server.CALLS_MAX:,} calls",
        f"{server.CONNECTIONS_MAX:,} connections",
        f"{service.STREAMS_MAX:,} streams a pod",
        f"or {service.CALL_S:.0f} s",
    ):
        assert said in text


def test_what_is_told_of_workers_is_what_they_do() -> None:
    text = " ".join(section_of(PAGE, "Carried out").split())
    rules = Rules()
    for said in (
        f"waits up to {carrying.CALL_S:.0f} s",
        f"after {rules.failures} failures in a row nothing is taken",
        f"for {rules.open_ms // 1000} s, then {rules.probes} items try",
        f"has {carriers.STOP_S:.0f} s for what it has",
        f"Every {CLEAN_EVERY_MS // 1000} s each pod",
        f"{CLEANED_AT_ONCE} items a step",
    ):
        assert said in text
