"""What the table of a cart allows."""

from state.domain.carts.statuses import AT_REST, TRANSITIONS, CartStatus

C = CartStatus


def test_every_status_leads_where_the_table_says_and_nothing_begins_twice() -> None:
    assert set(TRANSITIONS) == set(CartStatus)
    assert all(C.ASKING not in nexts for was, nexts in TRANSITIONS.items() if was)
    assert all(C.UNSPECIFIED not in nexts for nexts in TRANSITIONS.values())


def test_a_cart_is_paid_for_only_from_where_all_its_parts_are_known() -> None:
    before = {was for was, nexts in TRANSITIONS.items() if C.PAYING in nexts}
    # A cart of which late money bought the seats again, or could have, is paid for once more.
    assert before == {C.HELD, C.ENDING, C.RELEASED, C.SOLD, C.REFUNDED}
    assert C.HELD not in TRANSITIONS[C.PAYING]


def test_a_cart_at_rest_goes_on_only_by_what_happens_to_a_part() -> None:
    assert {C.UNSPECIFIED, C.ASKING, C.ENDING, C.PAYING} == set(CartStatus) - AT_REST
