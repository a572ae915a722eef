"""A value is made anew by the present schema or a function, and never into what workers refuse."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest
from support.logs.audit_logs import AVRO, WIRE, identity, open_section, row_plan, value_of

from schemas.topics import PAYMENT_COMPLETED, SECTION_COMMANDS, subjects
from scripts.auditing.schemas import Unreadable
from scripts.letters.letter import Letter, Origin
from scripts.letters.rewriting import NoFunction, change_in, rewritten, unchanged, with_values

IDS = {subject: 500 + index for index, subject in enumerate(subjects())}
RELEASE = {"request": identity("r1", "ann", "A", 1), "epoch": 1}
NOBODY = identity("not an id", "ann", "A", 1)


def letter(value: bytes | None, topic: str = SECTION_COMMANDS.name) -> Letter:
    origin = Origin(topic, 0, 1, 1)
    return Letter(0, 1, 1, origin, "SCHEMA", "", b"1-A", value, (), {}, "")


def made(fields: dict[str, Any], change: Any = unchanged, **more: Any) -> bytes:
    text = json.dumps(AVRO._parsed["ReleaseReservation"])
    value = value_of("ReleaseReservation", fields)
    return rewritten(letter(value, **more), lambda _: text, AVRO, IDS, change)


def test_a_record_that_is_not_changed_is_the_same_under_our_own_id() -> None:
    value = made(RELEASE)
    subject = "section-commands-io.seatstream.commands.ReleaseReservation"
    assert int.from_bytes(value[1:5], "big") == IDS[subject]
    assert value[5:] == value_of("ReleaseReservation", RELEASE)[5:]


def test_s3_16_what_a_shop_has_signed_is_not_written_anew() -> None:
    """Other bytes would be refused again: nobody here has signed them."""
    for change in (unchanged, lambda fields: fields | {"amount": 1}):
        with pytest.raises(Unreadable, match="signed"):
            made(RELEASE, change, topic=PAYMENT_COMPLETED.name)


def test_a_field_that_the_writer_did_not_know_gets_its_default() -> None:
    older = json.loads(json.dumps(AVRO._parsed["OpenSection"]))
    dropped = older["fields"].pop()
    assert "default" in dropped
    opening = open_section("A", 1, [row_plan("1", 4)])
    opening.pop(dropped["name"])
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(older), opening)
    old = letter(b"\0\0\0\0\7" + body.getvalue())
    value = rewritten(old, lambda _: json.dumps(older), AVRO, IDS, unchanged)
    assert AVRO.decode("OpenSection", value[5:])[dropped["name"]] == dropped["default"]


def test_a_function_mends_what_workers_refuse() -> None:
    broken = RELEASE | {"request": NOBODY}
    with pytest.raises(Unreadable, match="may not have"):
        made(broken)
    value = made(broken, lambda fields: fields | {"request": RELEASE["request"]})
    assert AVRO.decode("ReleaseReservation", value[5:]) == RELEASE


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda _: None, "leaves it out"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
        (lambda _: {"epoch": "two"}, "is no ReleaseReservation"),
        (lambda _: [], "is no ReleaseReservation"),
        (lambda fields: fields | {"request": NOBODY}, "may not have"),
    ],
)
def test_a_function_that_makes_no_record_sends_nothing(change: Any, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        made(RELEASE, change)


@pytest.mark.parametrize("topic", ["payment-commands", "payroll"])
def test_a_record_of_another_topic_is_not_made_anew(topic: str) -> None:
    with pytest.raises(Unreadable):
        made(RELEASE, topic=topic)


def test_only_what_is_asked_for_is_made_anew_and_what_cannot_be_says_so() -> None:
    good, bad, other = (replace(letter(b"v"), offset=at) for at in (1, 2, 3))
    bad = replace(bad, origin=bad.origin._replace(offset=2))

    def anew(one: Letter) -> bytes:
        if one is bad:
            raise Unreadable("why")
        return b"new"

    found, values = with_values([good, bad, other], anew, lambda one: one is not other)
    assert values == {good.origin.id: b"new"}
    assert [one.unsendable for one in found] == ["", "it cannot be made anew: why", ""]


@pytest.mark.parametrize("text", ["transform = 3", "nothing = 1", "1 / 0", "def transform("])
def test_a_file_without_a_function_is_refused_before_anything_is_sent(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "change.py"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(NoFunction):
        change_in(file)


def test_the_function_of_a_file_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "change.py"
    file.write_text("def transform(fields):\n    return fields | {'epoch': 9}\n", encoding="utf-8")
    assert WIRE.avro.decode("ReleaseReservation", made(RELEASE, change_in(file))[5:])["epoch"] == 9
