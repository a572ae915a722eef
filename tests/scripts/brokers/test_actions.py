"""What an operator did is in headers that anybody can read."""

from scripts.brokers.actions import headers_of


def test_each_thing_told_is_a_header_of_its_own() -> None:
    assert headers_of({"by": "ann", "reason": "moved"}) == [
        ("operator-by", b"ann"),
        ("operator-reason", b"moved"),
    ]


def test_a_terminals_bytes_that_are_no_text_are_spelled_out() -> None:
    assert headers_of({"reason": "caf\udce9"}) == [("operator-reason", b"caf\\udce9")]
