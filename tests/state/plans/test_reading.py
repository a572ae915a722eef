"""Any file is a plan in one of two formats, or is refused in one line; nothing else is raised."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.plan_documents import content, hall

from scripts.open_event import main as open_event
from state.plans.reading import DIGITS_MAX, PLAN_BYTES_MAX, parse_plan, read_plan
from state.plans.seating import PlanFault


@pytest.mark.parametrize(
    ("file", "path"),
    [
        (b"", "line 1, column 1"),
        (b'{"zones": [}', "line 1, column 12"),
        (b"\xff\xfe", ""),
        (b"[1]", ""),
        (b'{"name": "x"}', ""),
        (b'{"a": NaN}', ""),
        (b'{"zones": [], "zones": []}', ""),
        (b"[" * 100_000, ""),
    ],
)
def test_a_file_that_is_no_plan_is_refused(file: bytes, path: str) -> None:
    with pytest.raises(PlanFault) as refused:
        parse_plan(file)
    assert refused.value.path == path


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["zones", "sections", "rows", "seats", "name", "event", "categories"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(document: Any) -> None:
    with suppress(PlanFault):
        parse_plan(content(document))


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"zones": [], "name": ' + "7" * 5000 + "}", "a number of 5000 digits"),
        ('{"sections": [], "event": "\\ud800"}', "event: control character"),
        ('{"sections": [], "event": "x", "\\ud800": 1}', "unknown field"),
    ],
)
def test_e4_a_file_with_numbers_or_texts_that_nobody_can_hold_ends_with_one_line(
    document: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(document, encoding="utf-8")
    assert open_event([str(file), "--event-id", "1", "--dry-run"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith(f"{file}: ")
    assert told in line


def test_a_byte_order_mark_of_an_editor_is_no_fault() -> None:
    document = content(hall([["xxx"]]))
    assert parse_plan(b"\xef\xbb\xbf" + document) == parse_plan(document)


def test_the_format_is_told_by_zones_before_sections() -> None:
    both = hall([["xxx"]]) | {"event": "E", "sections": []}
    assert parse_plan(content(both)).name == "Hall"


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "field 'c' is given twice"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b'{"a": ' + b"7" * (DIGITS_MAX + 1) + b"}", f"a number of {DIGITS_MAX + 1} digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b"null", "None is not an object"),
        (b"{}", "neither 'zones'"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(file: bytes, told: str) -> None:
    with pytest.raises(PlanFault) as refused:
        parse_plan(file)
    assert told in refused.value.fault
    assert refused.value.remedy


def test_the_longest_number_that_is_read_is_read_and_then_judged() -> None:
    document = b'{"event": "E", "sections": [{"section": "A", "rows": %s}]}' % (b"7" * DIGITS_MAX)
    with pytest.raises(PlanFault, match=r"sections\[0\]\.rows: 7+ is not in 1\.\."):
        parse_plan(document)


def test_a_file_is_read_up_to_the_limit_and_no_byte_further(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(content(hall([["xxx"]])))
    assert read_plan(file).seat_count == 3
    with file.open("r+b") as sparse:
        # A hole: it takes no room on the disk.
        sparse.truncate(PLAN_BYTES_MAX + 1)
    with pytest.raises(PlanFault, match=f"more than {PLAN_BYTES_MAX} bytes"):
        read_plan(file)


def test_a_file_that_is_not_there_is_an_error_of_the_system_and_no_plan(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_plan(tmp_path / "none.json")
