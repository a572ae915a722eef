"""Reasons: numbers that are on the wire for ever, and names that HTTP answers give."""

from serdes.avro.schema_files import enum_symbols
from state.domain.reasons import ApiReason, Reason


def test_a_reasons_number_is_the_index_of_its_symbol() -> None:
    symbols = enum_symbols("io.seatstream.types.Reason")
    assert [(reason.name, reason.value) for reason in Reason] == [
        (symbol, index) for index, symbol in enumerate(symbols)
    ]


def test_a_reason_of_http_alone_is_told_by_its_name() -> None:
    assert [reason.value for reason in ApiReason] == [reason.name for reason in ApiReason]
    assert f"{ApiReason.STILL_RUNNING}" == "STILL_RUNNING"


def test_no_name_means_a_reason_of_the_log_and_one_of_http() -> None:
    assert not {reason.name for reason in Reason} & {reason.name for reason in ApiReason}
