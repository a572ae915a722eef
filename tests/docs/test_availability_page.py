"""What the page about the HTTP API says of look-ups and streams is what they do."""

import re

from support.pages.document_pages import DOCS, code_in, section_of, table_rows

from api.availability import endpoints as availability
from api.availability import questions, stream_frames
from api.availability import stream as streaming
from api.availability.encoded import AGE_HEADERS
from api.streaming import client as streamed

PAGE = DOCS / "http-api.md"


def test_the_bounds_are_those_of_the_code() -> None:
    text = " ".join(section_of(PAGE, "Availability").split())
    assert f"`sections` may name {questions.SECTIONS_MAX}." in text
    many = " ".join(section_of(PAGE, "Many events").split())
    assert f"At most {availability.BATCH_EVENTS_MAX} requests" in many
    assert f"{availability.BATCH_SECTIONS_MAX:,} sections in the answer" in many
    streams = " ".join(section_of(PAGE, "Streams").split())
    for said in (
        f"waits up to {streaming.CATCH_UP_S:.0f} s",
        f"gather for {1000 * streaming.GATHER_S:.0f} ms",
        f"{1000 * streaming.GATHER_S_PER_CLIENT:.1f} ms for each client",
        f"takes nothing for {streamed.STUCK_S} s",
        f"{streamed.QUEUED_FRAMES_MAX} frames or {streamed.QUEUED_BYTES_MAX // 1024} kB",
        f"comment every {streamed.TICK_S * streaming.COMMENT_TICKS:.0f} s",
        f"at most {streamed.STREAMS_MAX:,} streams",
    ):
        assert said in streams
    assert streamed.LIFE_S == 3_600
    assert stream_frames.RETRY == b"retry: 2000\n"


def test_every_parameter_and_header_is_told() -> None:
    told = {code_in(cells[0])[0] for cells in table_rows(PAGE, "Demands")}
    asked = re.findall(r'given, "(\w+)"|given\.pop\("(\w+)"', source := _source())
    assert told | {"sections"} == {first or second for first, second in asked}, source
    assert all(f"`{name}`" in section_of(PAGE, "Entity tags") for name in AGE_HEADERS)


def _source() -> str:
    return (DOCS.parent / "api" / "availability" / "questions.py").read_text(encoding="utf-8")


def test_every_reset_is_told() -> None:
    source = (DOCS.parent / "api" / "availability" / "stream.py").read_text(encoding="utf-8")
    used = set(re.findall(r'"(unreadable_id|another_topic|other_sections|behind)"', source))
    told = set(re.findall(r"`(\w+)`", section_of(PAGE, "Streams")))
    assert len(used) == 4
    assert used <= told
