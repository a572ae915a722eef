"""Whoever writes to the tables is told what is missing, and nobody is told the password."""

import sys

import pytest

from infra.process.environment import BadSetting
from state.tables.opening import tables_at

BY = "the role purchase_tables"


def test_without_an_address_and_without_the_driver_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BadSetting, match="DATABASE_URL: the role purchase_tables writes there"):
        tables_at("", "g", BY)
    monkeypatch.setitem(sys.modules, "state.tables.postgres", None)
    with pytest.raises(BadSetting, match=r"pip install 'seatstream\[postgres\]'"):
        tables_at("postgresql://h/d", "g", BY)


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(BadSetting) as refused:
        tables_at("postgresql://ann:secret@h/d?sslmod=1", "g", BY)
    assert "secret" not in str(refused.value)
    assert "libpq" in str(refused.value)
