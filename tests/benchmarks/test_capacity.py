"""The page of capacity is what the kept results say, and says so where they are of a quick run."""

from copy import deepcopy

import pytest

from benchmarks.capacity import INSTANCES, main, needed, page, present_page, read
from infra.paths import ROOT

WORKERS, PAYMENTS, SEATS = read("workers"), read("payments"), read("seats-drained")


def told(cpu_us: float, *, quick: bool = False) -> str:
    """Return the page where each event of each role costs so much."""
    workers = deepcopy(dict(WORKERS)) | {"quick": quick}
    for role in INSTANCES:
        workers["scenarios"][role]["figures"]["one_cpu_us"]["median"] = cpu_us
    return page(workers, PAYMENTS, SEATS)


def test_the_page_in_the_docs_is_that_of_the_results() -> None:
    kept = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    assert kept == present_page()


def test_s002_17_instances_of_the_document_serve_600_000_in_the_time_that_their_cores_take() -> (
    None
):
    # 1 ms an event, 70 % of a core: 700 events/s each.
    text = told(1_000)
    assert "| `issue_purchases` | 10 | 7,000 | 86 |" in text
    assert "| `schedule_slots` | 3 | 2,100 | 286 |" in text


@pytest.mark.parametrize(
    ("rate", "cpu_us", "expected"),
    [(1_000, 1_000, 2), (700, 1_000, 1), (1, 1, 1), (701, 1_000, 2)],
)
def test_so_many_workers_are_needed_as_have_the_time(
    rate: float, cpu_us: float, expected: int
) -> None:
    assert needed(rate, cpu_us) == expected


def test_a_quick_run_claims_nothing() -> None:
    assert "claim nothing" in told(100, quick=True)
    assert "claim nothing" not in told(100)


def test_it_is_printed_where_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == present_page()
