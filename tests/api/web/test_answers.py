from api.web.answers import json_answer


def test_an_answer_is_kept_by_nobody() -> None:
    answer = json_answer({"a": [1]}, 202, (("Location", "/v1/x"), ("Retry-After", "1")))
    assert (answer.status_code, answer.body) == (202, b'{"a":[1]}')
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == "/v1/x"
    assert answer.headers["retry-after"] == "1"
