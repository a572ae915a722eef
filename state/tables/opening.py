"""Opens the tables; its driver is a package that nobody else needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.process.environment import BadSetting

if TYPE_CHECKING:
    from state.tables.postgres import Tables


def tables_at(url: str, group: str, wanted_by: str) -> Tables:
    """Return the tables at `DATABASE_URL`, without connecting; raises BadSetting.

    group: whose events they mark. wanted_by: who writes there, for the message.
    """
    if not url:
        raise BadSetting(f"DATABASE_URL: {wanted_by} writes there")
    try:
        from state.tables.postgres import Tables, check_address  # noqa: PLC0415
    except ImportError as error:
        message = f"DATABASE_URL: {wanted_by} needs a package: pip install 'seatstream[postgres]'"
        raise BadSetting(message) from error
    try:
        check_address(url)
    except ValueError as error:
        raise BadSetting(f"DATABASE_URL: {error}") from error
    return Tables(url, group)
