"""Every reason has one status and one sentence; 429 and 503 say when to come back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.problems import STATUS, Problem, ToldAs, retry_after, told_as
from state.domain.reasons import ApiReason, Reason

EVERY = [*Reason, *ApiReason]


def test_every_reason_has_a_status_and_no_name_stands_twice() -> None:
    assert set(STATUS) == set(EVERY)
    assert len({reason.name for reason in EVERY}) == len(EVERY)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.SOLD_OUT, 409),
        (Reason.FORBIDDEN, 404),
        (Reason.UNKNOWN_RESERVATION, 404),
        (Reason.CONFLICT, 422),
        (Reason.BAD_COUNT, 400),
        (Reason.STATE_TOO_LARGE, 413),
        (Reason.INTERNAL, 500),
        (ApiReason.UNAUTHENTICATED, 401),
        (ApiReason.IDEMPOTENCY_KEY_REUSED, 422),
        (ApiReason.OVERLOADED, 429),
        (ApiReason.BROKER_UNAVAILABLE, 503),
        (ApiReason.STILL_RUNNING, 409),
    ],
)
def test_a_reason_has_the_status_that_clients_expect(
    reason: Reason | ApiReason, status: int
) -> None:
    assert Problem.of(reason, "Do so.").status == status


def test_somebody_elses_reservation_cannot_be_told_from_none() -> None:
    assert STATUS[Reason.FORBIDDEN] == STATUS[Reason.UNKNOWN_RESERVATION]


@pytest.mark.parametrize("reason", [r for r in EVERY if STATUS[r][0] in {429, 503}])
def test_whoever_is_told_to_wait_is_told_how_long(reason: ApiReason) -> None:
    assert dict(Problem.of(reason, "Wait.").headers)["Retry-After"] == "1"
    told = Problem.of(reason, "Wait.", headers=(retry_after(2_001),))
    assert [value for name, value in told.headers if name == "Retry-After"] == ["3"]


@given(st.sampled_from(EVERY), st.text(), st.text())
def test_a_body_is_json_with_the_members_of_rfc_9457(
    reason: Reason | ApiReason, detail: str, path: str
) -> None:
    body = json.loads(Problem.of(reason, detail, version=7).body(path, "c-1"))
    assert body == {
        "type": f"urn:seatstream:problem:{reason.name}",
        "title": STATUS[reason][1],
        "status": STATUS[reason][0],
        "detail": detail,
        "instance": path,
        "reason": reason.name,
        "correlation_id": "c-1",
        "version": 7,
    }


class Broad(Exception):
    pass


class Narrow(Broad):
    pass


TOLD: ToldAs = {
    Narrow: (ApiReason.BODY_TOO_LARGE, "ask for less"),
    Broad: (ApiReason.BROKER_UNAVAILABLE, "ask again"),
}


@pytest.mark.parametrize(
    ("error", "status", "detail"), [(Narrow(), 413, "ask for less"), (Broad(), 503, "ask again")]
)
def test_an_error_is_told_as_the_problem_of_its_kind(
    error: Exception, status: int, detail: str
) -> None:
    with pytest.raises(Problem) as told, told_as(TOLD):
        raise error
    assert (told.value.status, told.value.detail) == (status, detail)
    assert told.value.__cause__ is error


def test_any_other_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), told_as(TOLD):
        raise ZeroDivisionError
    problem = Problem.of(ApiReason.NOT_FOUND, "nothing")
    with pytest.raises(Problem) as told, told_as(TOLD):
        raise problem
    assert told.value is problem
