import pytest
from support.records.status_records import Fed, counts


@pytest.fixture
def fed() -> Fed:
    """Give a view of section A at version 3, read to its end just now."""
    fed = Fed()
    fed.tell(counts(3, 10, held=2, largest=4))
    fed.heartbeat()
    return fed
