import asyncio

import pytest
from support.carts.carting import Carting, best, cart_id_of, open_cart
from support.pods.carts_asked import CartLog
from support.seats.section_commands import IDS

from api.commands.cart_desk import CartDesk
from api.web.problems import Problem
from infra.process.log_lines import Correlation
from state.kafka.command_log import AppendUnknown, NotAppended, TooLarge

WHO = Correlation("c-1", "")
ID = cart_id_of()
KEY, VALUE = open_cart(ID, best("BLOCK-0", 1))
PARTITION = int(ID.rpartition("-")[2])


@pytest.mark.parametrize(
    ("failure", "says"),
    [(NotAppended("no brokers"), "Nothing was accepted"), (TooLarge("no"), "Ask for less")],
)
def test_what_is_certainly_not_in_the_log_is_told(failure: Exception, says: str) -> None:
    log = CartLog(Carting())
    log.failure = failure
    desk = CartDesk(IDS, log)  # type: ignore[arg-type]
    assert KEY is not None
    assert VALUE is not None
    with pytest.raises(Problem, match=says):
        asyncio.run(desk.tell(KEY, PARTITION, VALUE, WHO))


def test_what_may_be_in_the_log_is_taken_and_the_log_is_closed() -> None:
    log = CartLog(Carting())
    log.failure = AppendUnknown("nobody knows")
    desk = CartDesk(IDS, log)  # type: ignore[arg-type]
    asyncio.run(desk.start())
    assert KEY is not None
    assert VALUE is not None
    asyncio.run(desk.tell(KEY, PARTITION, VALUE, WHO))
    asyncio.run(desk.close())
    assert log.is_closed
