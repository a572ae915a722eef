import pytest
from pydantic import ValidationError

from api.payments.bodies import PaymentStart
from api.web.problems import Problem


def start(**changes: object) -> PaymentStart:
    return PaymentStart.model_validate({"epoch": 1, "method": "card", **changes})


def test_parameters_stand_in_the_log_in_one_form() -> None:
    assert start().encoded_parameters() == b""
    turned = start(parameters={"b": "2", "a": "1"})
    assert turned.encoded_parameters() == b'{"a":"1","b":"2"}'


def test_b57_parameters_of_more_bytes_than_the_log_takes_are_refused() -> None:
    start(parameters={"a": "x" * 2_000, "b": "x" * 2_000}).encoded_parameters()
    with pytest.raises(Problem):
        start(parameters={"a": "x" * 2_048, "b": "x" * 2_048}).encoded_parameters()


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 0},
        {"epoch": True},
        {"epoch": "1"},
        {"method": ""},
        {"method": "Card"},
        {"method": "card\n"},
        {"method": "x" * 33},
        {"gateway": "Mock"},
        {"gateway": "../x"},
        {"parameters": {"": "x"}},
        {"parameters": {"a": 1}},
        {"parameters": {"a": None}},
        {"parameters": {"a": "x" * 2_049}},
        {"parameters": {str(number): "" for number in range(33)}},
        {"parameters": []},
        {"amount": 1},
        {"currency": "EUR"},
    ],
)
def test_b57_what_no_start_can_mean_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        start(**changes)
